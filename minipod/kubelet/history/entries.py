"""One thing that happened to a pod, as it lies in a journal: a line of JSON.

Journals outlive pods, so an environment's values, which may be secrets, have no place in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

MAX_MESSAGE = 2048
"""Characters kept of a message; a termination message is at most 4096 bytes and is kept apart."""
MAX_DETAIL = 4096
"""Characters kept of a text in `detail`."""

Detail = Mapping[str, str | int | bool]


class Step(StrEnum):
    """What kind of thing happened."""

    CREATED = "created"
    """The Pod was made in the API."""
    SCHEDULED = "scheduled"
    ADMISSION = "admission"
    IMAGE = "image"
    MOUNT = "mount"
    SANDBOX = "sandbox"
    NETWORK = "network"
    CREATE = "create"
    """A container was created."""
    START = "start"
    HOOK = "hook"
    PROBE = "probe"
    READY = "ready"
    """The pod or a container became Ready, or (failed) no longer is."""
    EXIT = "exit"
    BACK_OFF = "back-off"
    KILL = "kill"
    RESTART = "restart"
    RESIZE = "resize"
    DEADLINE = "deadline"
    PROBLEM = "problem"
    NOTE = "note"
    DELETE = "delete"
    """The Pod's deletion was asked for."""
    DELETED = "deleted"
    """Nothing of the pod is left on this node."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times in µs since the epoch; `at` is what a timeline sorts by.

    `id` is unique within a journal; a later line with the same id replaces the earlier one.
    """

    id: int
    at: int
    step: Step
    message: str
    container: str = ""
    began: int = 0
    ended: int = 0
    """0: no duration is known."""
    failed: bool = False
    count: int = 1
    last: int = 0
    """When it happened last, for what happened more than once."""
    detail: dict[str, str | int | bool] = {}
    log: tuple[str, ...] = ()
    """The last lines a container printed before this exit."""

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return (self.ended - self.began) / 1_000_000 if self.began and self.ended else None


def printable(text: str, limit: int = MAX_MESSAGE) -> str:
    """Text that does nothing to a terminal: control characters, newlines too, as \\x1b or \\u202e are spelt."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return text if len(text) <= limit else text[: limit - 1] + "…"
