"""Pressure stall information of a group: how long its tasks have waited for cpu, memory and io.

The files need no controller. https://docs.kernel.org/accounting/psi.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RESOURCES = ("cpu", "memory", "io")
SYSTEM = Path("/proc/pressure")


@dataclass(frozen=True, slots=True)
class Stall:
    """Averages are percent of the last 10, 60 and 300 seconds; `total_us` is since the group was made."""

    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0
    total_us: int = 0


@dataclass(frozen=True, slots=True)
class Pressure:
    """`some`: at least one task waited; `full`: all that could have run did. The system's cpu has no `full`."""

    some: Stall = Stall()
    full: Stall = Stall()


def read(group: Path, resource: str) -> Pressure | None:
    """None where the kernel does not count it (psi=0), or the group is gone."""
    return _read(group / f"{resource}.pressure")


def of_system(resource: str) -> Pressure | None:
    """The whole machine's."""
    return _read(SYSTEM / resource)


def parse(text: str) -> Pressure:
    """Two lines, `some` and `full`, as `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`."""
    found = {}
    for line in text.splitlines():
        kind, *fields = line.split()
        values = dict(field.partition("=")[::2] for field in fields)
        avg10, avg60, avg300 = (float(values.get(name, 0)) for name in ("avg10", "avg60", "avg300"))
        found[kind] = Stall(avg10, avg60, avg300, int(values.get("total", 0)))
    return Pressure(found.get("some", Stall()), found.get("full", Stall()))


def _read(path: Path) -> Pressure | None:
    try:
        return parse(path.read_text())
    except OSError:  # EOPNOTSUPP with psi=0
        return None
