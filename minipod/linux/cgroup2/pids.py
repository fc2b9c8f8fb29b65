"""The pids controller: how many tasks a group may have."""

from __future__ import annotations

from pathlib import Path

from minipod.linux.cgroup2.cgroup import read


def files(limit: int) -> dict[str, str]:
    """cgroup file -> value. 0 leaves the limit as it is, a negative number lifts it."""
    if limit == 0:
        return {}
    return {"pids.max": str(limit) if limit > 0 else "max"}


def current(group: Path) -> int:
    """Tasks (threads count) in the group and below. Raises FileNotFoundError where the controller is not on."""
    return int(read(group, "pids.current"))
