"""The parts tables are made of, and how they word times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from minipod.api import timestamps
from minipod.api.meta_v1 import TableRowCondition

NONE = "<none>"
UNKNOWN = "<unknown>"

Cells: TypeAlias = list[str | int]


@dataclass(frozen=True, slots=True)
class Column:
    """`priority` above 0: shown with -o wide only."""

    name: str
    description: str
    priority: int = 0
    type: str = "string"
    format: str = ""


NAME = Column("Name", "Name is unique within a namespace.", format="name")
AGE = Column("Age", "Time since the object was created.")


@dataclass(frozen=True, slots=True)
class TableRules:
    """How a kind is printed: the columns and, given an object and the time (µs since the epoch), its cells."""

    columns: Sequence[Column]
    cells: Callable[[Any, int], Cells]
    conditions: Callable[[Any], Sequence[TableRowCondition]] = lambda _: ()


def age(obj: Any, now_us: int) -> str:
    return since(obj.metadata.creationTimestamp, now_us)


def since(timestamp: str | None, now_us: int) -> str:
    """Time from an RFC 3339 timestamp until now, or <unknown>."""
    then = timestamps.to_epoch_us(timestamp)
    return human_duration((now_us - then) // timestamps.MICROSECONDS) if then else UNKNOWN


def human_duration(seconds: int) -> str:
    """5s, 3m20s, 17m, 5h3m, 30h, 4d6h, 300d, 3y20d: two units while the first is small (apimachinery's duration)."""
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first}{unit}{second}{smaller}" if second else f"{first}{unit}"
