"""What every pod worker works with, bundled: mechanisms, writers and the node's own settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from minipod.client.events import EventRecorder
from minipod.client.interface import Client
from minipod.images.store import ImageStore
from minipod.kubelet.history.journal import PodHistory
from minipod.kubelet.node_state import NodeState
from minipod.kubelet.settings import NodeSettings
from minipod.kubelet.status.manager import StatusManager
from minipod.network.pod_network import PodNetwork
from minipod.runtime.service import RuntimeService


def wall_clock_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: NodeSettings
    client: Client
    runtime: RuntimeService
    network: PodNetwork
    images: ImageStore
    events: EventRecorder
    statuses: StatusManager
    history: PodHistory
    node: NodeState = field(default_factory=NodeState)
    clock: Callable[[], int] = wall_clock_us
