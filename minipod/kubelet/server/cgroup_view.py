"""What a cgroup says of itself, for people: limits in force, usage, processes. A group that is gone says nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minipod.kubelet.server.proc import process_info
from minipod.linux.cgroup2 import cgroup

LIMIT_FILES = ("cpu.max", "cpu.weight", "memory.max", "memory.high", "memory.swap.max", "pids.max", "io.max")


def describe(group: Path) -> dict[str, Any]:
    """Path, limits and usage, as the anatomy shows them."""
    return {"path": str(group), "limits": limits(group), "usage": usage(group)}


def limits(group: Path) -> dict[str, str]:
    """The limit files there are, as the kernel has them."""
    return {name: text for name in LIMIT_FILES if (text := _read(group, name))}


def usage(group: Path) -> dict[str, int]:
    """CPU time in µs, memory in bytes, number of processes.

    Without the memory controller the memory is the sum of what its processes have resident.
    """
    pids = processes(group)
    memory = _read(group, "memory.current")
    used = int(memory) if memory else resident(pids)
    return {
        "cpuMicroseconds": cgroup.flat_keyed(_read(group, "cpu.stat")).get("usage_usec", 0),
        "memoryBytes": used,
        "pids": len(pids),
    }


def resident(pids: Iterable[int]) -> int:
    """Bytes these processes have in memory; pages that they share count for each."""
    return sum(info.rss for pid in pids if (info := process_info(pid)) is not None)


def processes(group: Path) -> list[int]:
    """The pids in the group and below it, those of other pid namespaces left out."""
    found: list[int] = []
    for directory, _, _ in os.walk(group):
        try:
            found += [pid for pid in cgroup.processes(Path(directory)) if pid]
        except OSError:
            continue
    return sorted(found)


def _read(group: Path, name: str) -> str:
    try:
        return cgroup.read(group, name)
    except OSError:
        return ""
