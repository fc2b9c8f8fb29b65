"""What a pod may write to the node's disk, whether it has written more, and when to look again. Pure.

Rules, order and messages are the kubelet's (pkg/kubelet/eviction: localStorageEviction). The kubelet measures every ten
seconds; here a pod far from its limits is left alone for as long as it would take to reach them.
https://kubernetes.io/docs/concepts/storage/ephemeral-storage/#resource-emphemeralstorage-consumption
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from minipod.api import core_v1, pod_resources, quantity
from minipod.api.resource_fit import EPHEMERAL_STORAGE
from minipod.kubelet.eviction.types import DiskUse, PodDiskUse

SOONEST = 1.0
LATEST = 300.0
FILL_RATE = 256 << 20
"""Bytes that a pod is thought to write in a second, at most."""

AS_OFTEN_AS_THE_KUBELET = 10.0
"""Seconds between looks at a pod that rests close to its limit."""

SHARE_OF_TIME = 0.05
"""The part of the time that is spent measuring one pod, at most."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`text`: as Kubernetes writes the quantity."""

    bytes: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageLimits:
    """`volumes`: sizeLimit of emptyDirs on disk, by name; `containers` by name; `pod`: of all it writes."""

    volumes: Mapping[str, Limit] = field(default_factory=dict)
    containers: Mapping[str, Limit] = field(default_factory=dict)
    pod: Limit | None = None

    def __bool__(self) -> bool:
        return bool(self.volumes or self.containers or self.pod)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageUse:
    """What a pod has on disk: by container its writable layer and its logs, by volume its emptyDirs."""

    layers: Mapping[str, DiskUse] = field(default_factory=dict)
    logs: Mapping[str, DiskUse] = field(default_factory=dict)
    volumes: Mapping[str, DiskUse] = field(default_factory=dict)

    def container(self, name: str) -> int:
        """Bytes of the container's layer and logs."""
        return self.layers.get(name, DiskUse()).bytes + self.logs.get(name, DiskUse()).bytes

    def total(self) -> int:
        """Bytes of everything."""
        everything = (*self.layers.values(), *self.logs.values(), *self.volumes.values())
        return sum(use.bytes for use in everything)

    def for_ranking(self) -> PodDiskUse:
        """As who has to go under disk pressure is chosen by."""
        return PodDiskUse(layers=self.layers, logs=self.logs, volumes=sum(self.volumes.values(), DiskUse()))


def storage_limits(pod: core_v1.Pod) -> StorageLimits:
    """An emptyDir in memory is not among them: its tmpfs cannot outgrow its sizeLimit."""
    containers = {}
    for container in (*pod.spec.initContainers, *pod.spec.containers):
        text = container.resources.limits.get(EPHEMERAL_STORAGE) if container.resources else None
        if text is not None and quantity.value(text) != 0:
            containers[container.name] = _limit(text)
    volumes = {}
    for volume in pod.spec.volumes:
        source = volume.emptyDir
        if source is None or source.medium == "Memory" or source.sizeLimit is None:
            continue
        if quantity.value(source.sizeLimit) > 0:
            volumes[volume.name] = _limit(source.sizeLimit)
    return StorageLimits(volumes=volumes, containers=containers, pod=_pod_limit(pod, containers))


def exceeded(limits: StorageLimits, use: StorageUse) -> str | None:
    """The kubelet's message for the first limit that is exceeded, or None."""
    for name, limit in limits.volumes.items():
        if use.volumes.get(name, DiskUse()).bytes > limit.bytes:
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit.text}". '
    if limits.pod is not None and use.total() > limits.pod.bytes:
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {limits.pod.text}. "
    for name, limit in limits.containers.items():
        if use.container(name) > limit.bytes:
            return f'Container {name} exceeded its local ephemeral storage limit "{limit.text}". '
    return None


def seconds_to_next_look(
    limits: StorageLimits, use: StorageUse, *, took: float = 0.0, rested: float = 0.0
) -> float:
    """Between SOONEST and LATEST: no longer than the nearest limit is away, at FILL_RATE.

    `took`: seconds the measuring took; `rested`: seconds for which the pod is known to have done nothing at all. One
    that rests is looked at ever more rarely, down to as often as the kubelet does.
    """
    fill = min(_left(limits, use), default=0) / FILL_RATE
    idle = min(rested, AS_OFTEN_AS_THE_KUBELET)
    return min(max(fill, idle, took / SHARE_OF_TIME, SOONEST), LATEST)


def _left(limits: StorageLimits, use: StorageUse) -> Iterator[int]:
    for name, limit in limits.volumes.items():
        yield limit.bytes - use.volumes.get(name, DiskUse()).bytes
    for name, limit in limits.containers.items():
        yield limit.bytes - use.container(name)
    if limits.pod is not None:
        yield limits.pod.bytes - use.total()


def _limit(text: str) -> Limit:
    return Limit(quantity.value(text), quantity.canonical(text))


def _pod_limit(pod: core_v1.Pod, containers: Mapping[str, Limit]) -> Limit | None:
    """The sum over the containers that have a limit, as the kubelet's resource.PodLimits; it binds the others, too."""
    text = pod_resources.pod_limits(pod).get(EPHEMERAL_STORAGE)
    if text is None:
        return None
    amount = quantity.value(text)
    first = next(iter(containers.values()), None)
    if first is None or first.text.endswith("i"):
        return Limit(amount, text)
    return Limit(amount, quantity.format_decimal(amount))
