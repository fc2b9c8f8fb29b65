"""Measure what one pod has on the node's disk: writable layers, logs, emptyDirs. Slow; for a thread.

Of a container's attempts, the layer of the latest counts and the logs of all, as in the kubelet.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet.containers.container_config import attempt_directory, pod_context
from minipod.kubelet.eviction.local_storage import StorageUse
from minipod.kubelet.eviction.types import DiskUse
from minipod.kubelet.pod_names import all_containers
from minipod.kubelet.settings import NodeSettings
from minipod.kubelet.volumes.empty_dir import in_memory
from minipod.kubelet.volumes.manager import plan_volumes
from minipod.kubelet.volumes.types import VolumeError
from minipod.linux.tree_usage import tree_usage
from minipod.runtime.types import SandboxStatus

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds after which measuring a pod ends; then what has been counted is the least there is."""


def measure_pod(
    pod: core_v1.Pod,
    sandbox: SandboxStatus | None,
    settings: NodeSettings,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> StorageUse:
    """What cannot be read counts as nothing, and is logged. `stopped`: asked now and then whether to give up."""
    deadline = time.monotonic() + PATIENCE

    def give_up() -> bool:
        return stopped() or time.monotonic() > deadline

    context = pod_context(pod, settings)
    attempts: dict[str, int] = {}
    for container in sandbox.containers if sandbox is not None else ():
        attempts[container.name] = max(container.attempt, attempts.get(container.name, 0))
    return StorageUse(
        layers={
            name: _usage(attempt_directory(context, name, attempt) / "upper", give_up)
            for name, attempt in attempts.items()
        },
        logs={
            container.name: _usage(context.log_dir / container.name, give_up)
            for container in all_containers(pod)
        },
        volumes={name: _usage(path, give_up) for name, path in _directories(pod, context.pod_dir, settings)},
    )


def _directories(pod: core_v1.Pod, pod_dir: Path, settings: NodeSettings) -> list[tuple[str, Path]]:
    """Name and directory of each emptyDir on disk that a container mounts."""
    try:
        mounted = plan_volumes(pod, pod_dir, settings).mounted
    except VolumeError:
        return []
    return [
        (volume.name, mounted[volume.name].path)
        for volume in pod.spec.volumes
        if volume.emptyDir is not None and not in_memory(volume.emptyDir) and volume.name in mounted
    ]


def _usage(path: Path, stopped: Callable[[], bool]) -> DiskUse:
    try:
        found = tree_usage(path, stopped=stopped)
    except OSError as error:
        log.warning("cannot measure what a pod has on disk: %s", error)
        return DiskUse()
    return DiskUse(found.bytes, found.inodes)
