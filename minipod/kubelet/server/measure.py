"""What one cgroup has used, read at one moment: the figures behind stats/summary and the metrics pages."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from minipod.kubelet.server import cgroup_view
from minipod.linux.cgroup2 import cpu, io, memory, pressure
from minipod.linux.cgroup2.cpu import CpuStat
from minipod.linux.cgroup2.io import IoStat
from minipod.linux.cgroup2.memory import MemoryStat
from minipod.linux.cgroup2.pressure import Pressure

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStats:
    """A group and all below it. What the kernel does not count here is None or left out."""

    at_ns: int
    """When (since the epoch)."""
    cpu: CpuStat
    memory: MemoryStat | None
    resident: int
    """Memory in bytes, also without the memory controller: then what its processes have resident."""
    io: IoStat | None
    pressure: Mapping[str, Pressure] = field(default_factory=dict)
    oom_kills: int = 0
    processes: int = 0


def measure(group: Path) -> GroupStats:
    """Some tenths of a millisecond. Raises OSError when the group is gone."""
    usage = cpu.stat(group)
    in_memory, disk = _memory(group), _io(group)
    found = {name: one for name in pressure.RESOURCES if (one := pressure.read(group, name))}
    processes = cgroup_view.processes(group)
    return GroupStats(
        at_ns=time.time_ns(),
        cpu=usage,
        memory=in_memory,
        resident=in_memory.working_set if in_memory else cgroup_view.resident(processes),
        io=disk,
        pressure=found,
        oom_kills=memory.oom_kills(group) if in_memory else 0,
        processes=len(processes),
    )


def _memory(group: Path) -> MemoryStat | None:
    try:
        return memory.stat(group)
    except FileNotFoundError:
        return None


def _io(group: Path) -> IoStat | None:
    try:
        return io.stat(group)
    except FileNotFoundError:
        return None


class CpuRates:
    """Cores in use, from two looks: the kernel counts CPU time, not its rate, and nobody looks while nobody asks.

    The first answer about a group has no rate. A look soon after another repeats what that one said.
    """

    SHORTEST = NANOSECONDS
    """Between two looks that make a rate: the kernel's counters move in ticks."""

    def __init__(self) -> None:
        self._looks: dict[str, tuple[int, int, int | None]] = {}

    def nanocores(self, key: str, at_ns: int, usage_ns: int) -> int | None:
        """Billionths of a core between the last look and this one; None without a last one."""
        before = self._looks.get(key)
        if before is None or usage_ns < before[1] or at_ns < before[0]:
            self._looks[key] = (at_ns, usage_ns, None)
            return None
        then, used, rate = before
        if at_ns - then >= self.SHORTEST:
            rate = (usage_ns - used) * NANOSECONDS // (at_ns - then)
            self._looks[key] = (at_ns, usage_ns, rate)
        return rate

    def forget_all_but(self, keys: Collection[str]) -> None:
        for key in self._looks.keys() - set(keys):
            del self._looks[key]
