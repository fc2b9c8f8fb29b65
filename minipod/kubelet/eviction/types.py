"""What is watched, when it is too little, and what that means for node and pods.

https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Protocol

from minipod.api import core_v1, quantity

EVICTED = "Evicted"
"""Reason of the status and of the event of a pod that was evicted or not let in under pressure."""

HARD_GRACE = 1.0
"""Seconds a pod has to end when a hard threshold is crossed, as the kubelet (immediateEvictionGracePeriodSeconds)."""


class Signal(StrEnum):
    MEMORY_AVAILABLE = "memory.available"
    NODEFS_AVAILABLE = "nodefs.available"
    NODEFS_INODES_FREE = "nodefs.inodesFree"
    IMAGEFS_AVAILABLE = "imagefs.available"
    IMAGEFS_INODES_FREE = "imagefs.inodesFree"
    CONTAINERFS_AVAILABLE = "containerfs.available"
    CONTAINERFS_INODES_FREE = "containerfs.inodesFree"
    PID_AVAILABLE = "pid.available"


class Pressure(StrEnum):
    """Conditions of the Node, in the order in which the kubelet names them."""

    MEMORY = "MemoryPressure"
    DISK = "DiskPressure"
    PID = "PIDPressure"


class Starved(StrEnum):
    """The resource behind a signal, as events and messages name it."""

    MEMORY = "memory"
    EPHEMERAL_STORAGE = "ephemeral-storage"
    INODES = "inodes"
    PIDS = "pids"


PRESSURE: Mapping[Signal, Pressure] = {
    signal: Pressure.MEMORY
    if signal is Signal.MEMORY_AVAILABLE
    else Pressure.PID
    if signal is Signal.PID_AVAILABLE
    else Pressure.DISK
    for signal in Signal
}

STARVED: Mapping[Signal, Starved] = {
    Signal.MEMORY_AVAILABLE: Starved.MEMORY,
    Signal.PID_AVAILABLE: Starved.PIDS,
    Signal.NODEFS_AVAILABLE: Starved.EPHEMERAL_STORAGE,
    Signal.IMAGEFS_AVAILABLE: Starved.EPHEMERAL_STORAGE,
    Signal.CONTAINERFS_AVAILABLE: Starved.EPHEMERAL_STORAGE,
    Signal.NODEFS_INODES_FREE: Starved.INODES,
    Signal.IMAGEFS_INODES_FREE: Starved.INODES,
    Signal.CONTAINERFS_INODES_FREE: Starved.INODES,
}


@dataclass(frozen=True, slots=True)
class Amount:
    """Bytes or pieces, or with `fraction` a part of what there is in all."""

    number: Fraction
    fraction: bool = False

    def of(self, capacity: int) -> int:
        return int(self.number * capacity) if self.fraction else int(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Crossed when less than `value` is left; `grace` (seconds): how long that must last, 0: a hard threshold."""

    signal: Signal
    value: Amount
    grace: float = 0.0
    minimum_reclaim: Amount | None = None
    """What has to be free beyond `value` before the threshold counts as kept again."""

    @property
    def hard(self) -> bool:
        return self.grace == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a signal says: bytes, inodes or process ids."""

    available: int
    capacity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictionSettings:
    """`thresholds`: hard ones first. Times are seconds."""

    thresholds: tuple[Threshold, ...] = ()
    max_pod_grace: float = 0.0
    """The longest grace period of a pod that is evicted for a soft threshold; 0: none, it is ended at once."""
    transition_period: float = 300.0
    """How long a pressure condition stays after the pressure has gone."""


@dataclass(frozen=True, slots=True)
class DiskUse:
    bytes: int = 0
    inodes: int = 0

    def __add__(self, other: DiskUse) -> DiskUse:
        return DiskUse(self.bytes + other.bytes, self.inodes + other.inodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDiskUse:
    """What one pod has written: by container its writable layer and its logs, and all of its emptyDirs on disk."""

    layers: Mapping[str, DiskUse] = field(default_factory=dict)
    logs: Mapping[str, DiskUse] = field(default_factory=dict)
    volumes: DiskUse = DiskUse()


class Storage(Protocol):
    """What the eviction manager needs of disk accounting and garbage collection."""

    async def disk_use(self, pod: core_v1.Pod) -> PodDiskUse:
        """Measure; blocks nobody."""

    async def reclaim(self) -> None:
        """Delete what no pod needs: ended attempts, then images without users. Never raises OSError."""


def eviction_settings(
    *,
    hard: Mapping[str, str],
    soft: Mapping[str, str],
    soft_grace: Mapping[str, float],
    minimum_reclaim: Mapping[str, str],
    max_pod_grace: float,
    transition_period: float,
) -> EvictionSettings:
    """From the configuration's keys: signal -> "100Mi" or "10%". Raises ValueError that names the key."""
    for signal in soft:
        if signal not in soft_grace:
            raise ValueError(
                f"evictionSoft: {signal} has no grace period: "
                f"give evictionSoftGracePeriod a value for it, such as {signal}=90s"
            )
    reclaim = {signal: _amount(text) for signal, text in minimum_reclaim.items()}
    found = [
        Threshold(
            signal=Signal(signal),
            value=_amount(text),
            grace=max(soft_grace[signal], 0.001) if kind is soft else 0.0,
            minimum_reclaim=reclaim.get(signal),
        )
        for kind in (hard, soft)
        for signal, text in kind.items()
        if _amount(text).number > 0
    ]
    return EvictionSettings(
        thresholds=tuple(found), max_pod_grace=max_pod_grace, transition_period=transition_period
    )


def _amount(text: str) -> Amount:
    if text.endswith("%"):
        return Amount(Fraction(text[:-1]) / 100, fraction=True)
    return Amount(quantity.parse(text))
