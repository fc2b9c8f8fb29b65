"""What the whole machine uses: memory, network, file systems, process ids. All from proc(5) and statvfs(2)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """Bytes."""

    total: int
    used: int
    working_set: int
    anon: int
    swap_total: int
    swap_used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    name: str
    rx_bytes: int
    rx_errors: int
    tx_bytes: int
    tx_errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """Bytes and inodes; inodes are 0 where a file system makes them as needed."""

    available: int
    capacity: int
    used: int
    inodes_free: int
    inodes: int


def meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo in bytes: {"MemTotal": ...}."""
    return {
        key: int(rest.split()[0]) * 1024
        for key, _, rest in (line.partition(":") for line in text.splitlines())
        if rest
    }


def memory_use(text: str) -> MemoryUse:
    """From /proc/meminfo. The working set is what is used less the file cache that can be dropped at once."""
    values = meminfo(text)
    used = values["MemTotal"] - values["MemFree"]
    return MemoryUse(
        total=values["MemTotal"],
        used=used,
        working_set=max(used - values.get("Inactive(file)", 0), 0),
        anon=values.get("AnonPages", 0),
        swap_total=values.get("SwapTotal", 0),
        swap_used=values.get("SwapTotal", 0) - values.get("SwapFree", 0),
    )


def interfaces(text: str) -> list[Interface]:
    """From /proc/PID/net/dev, without the loopback."""
    found = []
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if name.strip() == "lo" or len(fields) < 16:
            continue
        found.append(
            Interface(
                name=name.strip(),
                rx_bytes=int(fields[0]),
                rx_errors=int(fields[2]),
                tx_bytes=int(fields[8]),
                tx_errors=int(fields[10]),
            )
        )
    return found


def interfaces_of(pid: int | str) -> list[Interface]:
    """Of the network namespace of a process ("self": our own); none when it is gone."""
    try:
        return interfaces((PROC / str(pid) / "net/dev").read_text())
    except OSError:
        return []


def file_system(path: Path) -> FileSystem:
    """What root keeps for itself does not count as available, as with df(1). Raises OSError."""
    info = os.statvfs(path)
    return FileSystem(
        available=info.f_bavail * info.f_frsize,
        capacity=info.f_blocks * info.f_frsize,
        used=(info.f_blocks - info.f_bfree) * info.f_frsize,
        inodes_free=info.f_favail,
        inodes=info.f_files,
    )


def page_faults(text: str) -> tuple[int, int]:
    """(all, major) since the boot, from /proc/vmstat."""
    values = dict(line.split() for line in text.splitlines())
    return int(values.get("pgfault", 0)), int(values.get("pgmajfault", 0))


def most_tasks(proc: Path = PROC) -> int:
    """How many there can be at once; threads count."""
    return min(int((proc / "sys/kernel" / name).read_text()) for name in ("pid_max", "threads-max"))


def tasks(proc: Path = PROC) -> tuple[int, int]:
    """(how many there can be, how many there are); threads count."""
    return most_tasks(proc), int((proc / "loadavg").read_text().split()[3].partition("/")[2])


def boot_time(proc: Path = PROC) -> int:
    """Seconds since the epoch."""
    lines = (proc / "stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("btime "))
