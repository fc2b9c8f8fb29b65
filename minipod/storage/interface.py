"""The store's vocabulary: what is kept, what may be done to it, and what a reader of changes sees.

Everything here is shared between readers: an object that was handed out or handed in is never changed again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from msgspec.structs import replace

from minipod.client.interface import EventType


class Key(NamedTuple):
    """Where an object is: resource as "pods" or "deployments.apps", namespace "" when it has none."""

    resource: str
    namespace: str
    name: str


class Stored:
    """One state of one object: decoded, encoded (once, for all who send it on) and its version."""

    __slots__ = ("encoded", "key", "obj", "version", "written_at")

    def __init__(self, key: Key, obj: Any, encoded: bytes, version: int, written_at: float) -> None:
        self.key = key
        self.obj = obj
        """A msgspec struct of minipod.api; shared, never to be changed."""
        self.encoded = encoded
        """The object as JSON."""
        self.version = version
        """The resourceVersion it was written at."""
        self.written_at = written_at
        """Seconds since the epoch."""

    def __repr__(self) -> str:
        return f"Stored({'/'.join(part for part in self.key if part)} at {self.version})"


def at_version(obj: Any, version: int) -> Any:
    """A copy of an object, as shallow as can be, that says this resourceVersion."""
    return replace(obj, metadata=replace(obj.metadata, resourceVersion=str(version)))


@dataclass(frozen=True, slots=True)
class Put:
    """Store this object, which nobody changes any more (its resourceVersion is set in a copy of its metadata).

    `durable`: on disk before the write is acknowledged, so that a power cut cannot undo it. Without it the write
    survives the death of the daemon all the same, only a power cut may lose the last seconds: for what is
    observed and will be observed again (status, events).
    """

    obj: Any
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Remove:
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Keep:
    """Change nothing."""


Decision: TypeAlias = Put | Remove | Keep
Decide: TypeAlias = Callable[[Stored | None], Decision]
"""From the newest state (None: there is none) to what shall be; may raise to refuse. Called once, must not wait."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write: the object as it now is, or as it last was when `removed`."""

    stored: Stored | None
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One change in the order of versions. A removal's `stored` is the last state with the removal's version."""

    type: EventType
    stored: Stored
    previous: Stored | None

    @property
    def version(self) -> int:
        return self.stored.version
