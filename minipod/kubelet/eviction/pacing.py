"""When to look again: no later than a threshold could be crossed by whatever fills the node as fast as it can.

The kubelet looks every ten seconds, whether a threshold is near or far. Here a node with plenty of room is looked at
every few minutes, one near its threshold every second; the kernel tells of memory stalls in between (linux/psi.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minipod.kubelet.eviction.thresholds import limit
from minipod.kubelet.eviction.types import Observation, Signal, Threshold

SOONEST = 1.0
LATEST = 300.0
AFTER_CROSSING = 2.0
"""Seconds between looks while a threshold is crossed and time alone can change what follows."""

FILL_RATE: Mapping[Signal, float] = {
    Signal.MEMORY_AVAILABLE: float(2 << 30),
    Signal.NODEFS_AVAILABLE: float(2 << 30),
    Signal.IMAGEFS_AVAILABLE: float(2 << 30),
    Signal.CONTAINERFS_AVAILABLE: float(2 << 30),
    Signal.NODEFS_INODES_FREE: 200_000.0,
    Signal.IMAGEFS_INODES_FREE: 200_000.0,
    Signal.CONTAINERFS_INODES_FREE: 200_000.0,
    Signal.PID_AVAILABLE: 20_000.0,
}
"""What a signal can fall by in a second, in bytes or pieces, on a fast machine."""


def seconds_to_next_look(
    thresholds: Iterable[Threshold], seen: Mapping[Signal, Observation], *, crossed: bool
) -> float:
    """Between SOONEST and LATEST. `crossed`: whether any threshold is."""
    if crossed:
        return AFTER_CROSSING
    waits = [
        (observed.available - limit(threshold, observed, with_reclaim=True)) / FILL_RATE[threshold.signal]
        for threshold in thresholds
        if (observed := seen.get(threshold.signal)) is not None
    ]
    return min(max(min(waits, default=LATEST), SOONEST), LATEST)
