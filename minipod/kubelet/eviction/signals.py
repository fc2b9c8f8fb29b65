"""Read the node's eviction signals from the kernel. All reads, some ten microseconds each.

https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#eviction-signals
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from minipod.kubelet.eviction.types import Observation, Signal


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
        values = {
            key: int(rest.split()[0]) * 1024
            for key, _, rest in (line.partition(":") for line in meminfo.read_text().splitlines())
            if rest
        }
        available = values["MemFree"] + values["Inactive(file)"]
        return Observation(available=min(available, values["MemTotal"]), capacity=values["MemTotal"])
    except (OSError, KeyError, ValueError):
        return None


def _pids(proc: Path) -> Observation | None:
    """pid.available: how many more tasks (threads count) the kernel lets this machine have."""
    try:
        limits = [int((proc / "sys/kernel" / name).read_text()) for name in ("pid_max", "threads-max")]
        tasks = int((proc / "loadavg").read_text().split()[3].partition("/")[2])
    except (OSError, IndexError, ValueError):
        return None
    return Observation(available=max(min(limits) - tasks, 0), capacity=min(limits))


def _filesystem(path: Path, available: Signal, inodes: Signal) -> dict[Signal, Observation]:
    """What root's reserve keeps from others does not count as available, as with df(1)."""
    try:
        info = os.statvfs(path)
    except OSError:
        return {}
    found = {
        available: Observation(
            available=info.f_bavail * info.f_frsize, capacity=info.f_blocks * info.f_frsize
        )
    }
    if info.f_files:  # file systems that make inodes as needed (btrfs) say 0
        found[inodes] = Observation(available=info.f_favail, capacity=info.f_files)
    return found
