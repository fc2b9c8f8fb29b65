"""What every pod worker works with, bundled: mechanisms, writers and the node's own settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from minipod.client.interface import Client
from minipod.images.store import ImageStore
from minipod.kubelet.backoff import BackOffPolicy
from minipod.kubelet.events import EventRecorder
from minipod.kubelet.status.manager import StatusManager
from minipod.network.pod_network import PodNetwork
from minipod.runtime.service import RuntimeService


def wall_clock_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """The node's identity, directories and numbers. Times in seconds, memory in bytes."""

    node_name: str
    host_ip: str
    data_dir: Path
    run_dir: Path
    log_dir: Path
    cgroup_root: Path
    cgroup_parent: str
    cpu_capacity_millis: int
    memory_capacity: int
    max_pods: int = 110
    cluster_domain: str = "cluster.local"
    cluster_dns: tuple[str, ...] = ()
    allowed_unsafe_sysctls: tuple[str, ...] = ()
    crash_loop: BackOffPolicy = field(default_factory=BackOffPolicy)
    image_retry: BackOffPolicy = field(default_factory=BackOffPolicy)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: NodeSettings
    client: Client
    runtime: RuntimeService
    network: PodNetwork
    images: ImageStore
    events: EventRecorder
    statuses: StatusManager
    clock: Callable[[], int] = wall_clock_us
