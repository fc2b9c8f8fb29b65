"""All pods of the node with what they and their containers have used, measured one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from minipod.api import core_v1
from minipod.kubelet.server.measure import GroupStats, measure
from minipod.kubelet.services import Services
from minipod.runtime.types import ContainerState, ContainerStatus, SandboxStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class PodUse:
    """One pod with a sandbox, and those of its containers that run."""

    pod: core_v1.Pod
    sandbox: SandboxStatus
    stats: GroupStats
    containers: tuple[tuple[ContainerStatus, GroupStats], ...]


def survey(services: Services, pods: Iterable[core_v1.Pod]) -> Iterator[PodUse]:
    """About a millisecond per pod. What ends meanwhile is left out."""
    root = services.settings.cgroup_root
    for pod in pods:
        sandbox = services.runtime.status(pod.metadata.uid or "")
        if sandbox is None:
            continue
        group = root / sandbox.cgroup
        containers = []
        try:
            stats = measure(group)
        except OSError:
            continue
        for container in sandbox.containers:
            if container.state is ContainerState.RUNNING:
                try:
                    containers.append((container, measure(group / container.id)))
                except OSError:
                    continue
        yield PodUse(pod=pod, sandbox=sandbox, stats=stats, containers=tuple(containers))
