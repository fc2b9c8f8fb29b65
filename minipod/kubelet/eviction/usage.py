"""Measure what the pods of a node use, when one of them has to go."""

from __future__ import annotations

from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet.eviction.ranking import PodUse
from minipod.kubelet.eviction.types import PodDiskUse
from minipod.kubelet.server import cgroup_view
from minipod.linux.cgroup2 import memory, pids
from minipod.runtime.types import ContainerState, SandboxStatus


def measure(pod: core_v1.Pod, sandbox: SandboxStatus | None, cgroup_root: Path, disk: PodDiskUse) -> PodUse:
    """Memory is each container's working set; without a memory controller, what its processes have resident.

    Reads files of the kernel only. A pod without a sandbox uses nothing.
    """
    if sandbox is None:
        return PodUse(pod=pod, disk=disk)
    group = cgroup_root / sandbox.cgroup
    return PodUse(
        pod=pod,
        memory={
            c.name: _working_set(group / c.id)
            for c in sandbox.containers
            if c.state is ContainerState.RUNNING
        },
        disk=disk,
        processes=_processes(group),
    )


def _working_set(group: Path) -> int:
    try:
        return memory.stat(group).working_set
    except OSError:
        return cgroup_view.usage(group)["memoryBytes"]


def _processes(group: Path) -> int:
    try:
        return pids.current(group)
    except OSError:
        return len(cgroup_view.processes(group))
