"""The io controller: what a group has read from and written to disks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minipod.linux.cgroup2.cgroup import read


@dataclass(frozen=True, slots=True)
class IoStat:
    """Bytes and operations, all devices together."""

    read_bytes: int = 0
    written_bytes: int = 0
    reads: int = 0
    writes: int = 0


def stat(group: Path) -> IoStat:
    """What the group and all below it did. Raises FileNotFoundError where the controller is not on."""
    sums = dict.fromkeys(("rbytes", "wbytes", "rios", "wios"), 0)
    for line in read(group, "io.stat").splitlines():
        for field in line.split()[1:]:
            key, _, value = field.partition("=")
            if key in sums:
                sums[key] += int(value)
    return IoStat(sums["rbytes"], sums["wbytes"], sums["rios"], sums["wios"])
