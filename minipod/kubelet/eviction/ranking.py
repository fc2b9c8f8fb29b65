"""Which pod goes first, and what is said of it. Pure.

Memory and disk: pods that use more than they request before those that do not, then the lower priority, then the one
that is furthest above its request. Process ids: the lower priority, then the one with the most processes.
https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#pod-selection-for-kubelet-eviction
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from minipod.api import core_v1, quantity
from minipod.api.pod_resources import effective_requests
from minipod.api.priorities import priority
from minipod.kubelet.eviction.thresholds import limit
from minipod.kubelet.eviction.types import (
    STARVED,
    DiskUse,
    Observation,
    PodDiskUse,
    Signal,
    Starved,
    Threshold,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodUse:
    """What one pod uses: bytes of memory (working set) by container, disk, processes."""

    pod: core_v1.Pod
    memory: Mapping[str, int] = field(default_factory=dict)
    disk: PodDiskUse = field(default_factory=PodDiskUse)
    processes: int = 0

    def of(self, starved: Starved) -> int:
        match starved:
            case Starved.MEMORY:
                return sum(self.memory.values())
            case Starved.PIDS:
                return self.processes
            case Starved.INODES:
                return _all_disk(self.disk).inodes
            case Starved.EPHEMERAL_STORAGE:
                return _all_disk(self.disk).bytes


def rank(signal: Signal, pods: Iterable[PodUse]) -> list[PodUse]:
    """The first one is to go first."""
    starved = STARVED[signal]

    def place(use: PodUse) -> tuple[bool, int, Fraction]:
        used = Fraction(use.of(starved))
        if starved is Starved.PIDS:
            return False, priority(use.pod), -used
        over = used - effective_requests(use.pod).get(starved.value, Fraction(0))
        return over <= 0, priority(use.pod), -over

    return sorted(pods, key=place)


def eviction_message(threshold: Threshold, observed: Observation | None, use: PodUse) -> str:
    """The kubelet's words, down to the blank at the end of each sentence."""
    starved = STARVED[threshold.signal]
    said = f"The node was low on resource: {starved}. "
    if observed is not None:
        wanted, left = limit(threshold, observed), observed.available
        said += (
            f"Threshold quantity: {quantity.format_binary(wanted)}, "
            f"available: {quantity.format_binary(left)}. "
        )
    for container in (*use.pod.spec.containers, *use.pod.spec.initContainers):
        used = _of_container(use, starved, container.name)
        request = (container.resources.requests if container.resources else {}).get(starved.value, "0")
        if used > quantity.parse(request):
            said += (
                f"Container {container.name} was using {quantity.format_binary(used)}, "
                f"request is {request}, has larger consumption of {starved}. "
            )
    return said


def _of_container(use: PodUse, starved: Starved, name: str) -> int:
    match starved:
        case Starved.MEMORY:
            return use.memory.get(name, 0)
        case Starved.EPHEMERAL_STORAGE:
            written = use.disk.layers.get(name, DiskUse()) + use.disk.logs.get(name, DiskUse())
            return written.bytes
        case _:
            return 0


def _all_disk(disk: PodDiskUse) -> DiskUse:
    return sum((*disk.layers.values(), *disk.logs.values()), disk.volumes)
