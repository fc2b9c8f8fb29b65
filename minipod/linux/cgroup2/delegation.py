"""Which controllers groups deep in the hierarchy can have: each level above must have them and hand them down.

A level hands a controller down by cgroup.subtree_control, which the kernel refuses where processes live in that very
level; the real root is exempt, the root that a container sees is not (cgroup-v2, "No Internal Process Constraint").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minipod.linux.cgroup2.cgroup import controllers, read


@dataclass(frozen=True, slots=True)
class Level:
    """One group on the way down. `occupied`: processes in it keep it from handing down more than it does."""

    path: str
    controllers: frozenset[str]
    handed_down: frozenset[str]
    occupied: bool = False
    real_root: bool = False


def levels(root: Path, name: str) -> tuple[Level, ...]:
    """From the mount point `root` towards the group `name` below it, as far as there are groups. Raises OSError."""
    group = root
    found = [_level(group)]
    for part in filter(None, name.split("/")):
        group = group / part
        if not group.is_dir():
            break
        found.append(_level(group))
    return tuple(found)


def usable(way: Sequence[Level]) -> frozenset[str]:
    """The controllers that groups made below the last level can have."""
    found = way[0].controllers
    for level in way:
        found &= level.handed_down if level.occupied else level.controllers
    return found


def _level(group: Path) -> Level:
    real_root = not (group / "cgroup.type").exists()
    return Level(
        path=str(group),
        controllers=controllers(group),
        handed_down=frozenset(read(group, "cgroup.subtree_control").split()),
        occupied=not real_root and bool(read(group, "cgroup.procs")),
        real_root=real_root,
    )
