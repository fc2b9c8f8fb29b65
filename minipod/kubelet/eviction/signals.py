"""Read the node's eviction signals from the kernel. All reads, some ten microseconds each.

https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#eviction-signals
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minipod.kubelet.eviction.types import Observation, Signal
from minipod.linux import machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where to look: the file systems of volumes, logs and writable layers, and of images; and proc(5)."""

    nodefs: Path
    imagefs: Path
    proc: Path = Path("/proc")


def read_signals(places: Places) -> dict[Signal, Observation]:
    """What cannot be read is left out: no threshold on it is ever crossed."""
    found: dict[Signal, Observation] = {}
    if memory := _memory(places.proc / "meminfo"):
        found[Signal.MEMORY_AVAILABLE] = memory
    if pids := _pids(places.proc):
        found[Signal.PID_AVAILABLE] = pids
    for path, available, inodes in (
        (places.nodefs, Signal.NODEFS_AVAILABLE, Signal.NODEFS_INODES_FREE),
        (places.nodefs, Signal.CONTAINERFS_AVAILABLE, Signal.CONTAINERFS_INODES_FREE),
        (places.imagefs, Signal.IMAGEFS_AVAILABLE, Signal.IMAGEFS_INODES_FREE),
    ):
        found |= _filesystem(path, available, inodes)
    return found


def _memory(meminfo: Path) -> Observation | None:
    """memory.available = capacity - working set: what is used less the file cache that can be dropped at once.

    The kubelet gets the same for cgroup v2 from the root's memory.stat and /proc/meminfo. These counters exist on any
    host, with or without a memory controller.
    """
    try:
        values = machine.meminfo(meminfo.read_text())
        available = values["MemFree"] + values["Inactive(file)"]
        return Observation(available=min(available, values["MemTotal"]), capacity=values["MemTotal"])
    except (OSError, KeyError, ValueError):
        return None


def _pids(proc: Path) -> Observation | None:
    """pid.available: how many more tasks (threads count) the kernel lets this machine have."""
    try:
        most, tasks = machine.tasks(proc)
    except (OSError, IndexError, ValueError):
        return None
    return Observation(available=max(most - tasks, 0), capacity=most)


def _filesystem(path: Path, available: Signal, inodes: Signal) -> dict[Signal, Observation]:
    try:
        seen = machine.file_system(path)
    except OSError:
        return {}
    found = {available: Observation(available=seen.available, capacity=seen.capacity)}
    if seen.inodes:
        found[inodes] = Observation(available=seen.inodes_free, capacity=seen.inodes)
    return found
