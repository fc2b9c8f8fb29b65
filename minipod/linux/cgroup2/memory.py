"""The memory controller: limits, protection, and what the kernel counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minipod.linux.cgroup2.cgroup import flat_keyed, read


def files(*, limit: int = 0, reservation: int = 0, memory_and_swap: int = 0) -> dict[str, str]:
    """cgroup file -> value, from bytes. 0 leaves a setting as it is, a negative number lifts the limit.

    `memory_and_swap` counts both, as cgroup v1 and the OCI runtime-spec do; cgroup v2 limits swap alone. Raises
    ValueError when it is less than `limit`, or set without one.
    """
    values = {}
    if limit:
        values["memory.max"] = _value(limit)
    if reservation:
        values["memory.low"] = _value(reservation)
    if memory_and_swap < 0:
        values["memory.swap.max"] = "max"
    elif memory_and_swap:
        if not 0 < limit <= memory_and_swap:
            raise ValueError(
                f"memory+swap limit {memory_and_swap} does not contain the memory limit {limit}"
            )
        values["memory.swap.max"] = str(memory_and_swap - limit)
    return values


def _value(number: int) -> str:
    return str(number) if number >= 0 else "max"


@dataclass(frozen=True, slots=True)
class MemoryStat:
    """Bytes; `limit` is None for none. `working_set` is usage without inactive page cache, as kubelet reports it."""

    usage: int
    working_set: int
    limit: int | None
    anon: int
    page_faults: int
    major_page_faults: int
    cache: int = 0
    swap: int = 0


def stat(group: Path) -> MemoryStat:
    """What the group and all below it use. Raises FileNotFoundError where the controller is not on."""
    usage = int(read(group, "memory.current"))
    counts = flat_keyed(read(group, "memory.stat"))
    limit = read(group, "memory.max")
    return MemoryStat(
        usage=usage,
        working_set=max(usage - counts.get("inactive_file", 0), 0),
        limit=None if limit == "max" else int(limit),
        anon=counts.get("anon", 0),
        page_faults=counts.get("pgfault", 0),
        major_page_faults=counts.get("pgmajfault", 0),
        cache=counts.get("file", 0),
        swap=_swap(group),
    )


def _swap(group: Path) -> int:
    """0 also where the kernel does not count it (swapaccount=0)."""
    try:
        return int(read(group, "memory.swap.current"))
    except FileNotFoundError:
        return 0


def swap_counted(mount: Path) -> bool | None:
    """Whether groups have memory.swap.max; None when none below `mount` has the controller, to see it by.

    The root group has neither file. Without swapaccount=0 on the kernel command line they have it.
    """
    for group in (path.parent for path in mount.glob("*/memory.max")):
        return (group / "memory.swap.max").exists()
    return None


def oom_kills(group: Path) -> int:
    """How many processes of the group the out-of-memory killer has ended (memory.events)."""
    return flat_keyed(read(group, "memory.events")).get("oom_kill", 0)
