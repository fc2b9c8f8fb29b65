"""Watching a selection: each change of an object as it looks to someone who sees the selected ones only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from minipod.api import codec, errors
from minipod.apiserver.registry.options import Selection
from minipod.client.interface import EventType
from minipod.storage.errors import ExpiredError
from minipod.storage.interface import Change, Stored, at_version
from minipod.storage.window import Cursor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery:
    type: EventType
    stored: Stored


class Watch:
    """What exists already (`initial`), then what changes (next). Not for two readers at once."""

    def __init__(self, cursor: Cursor, selection: Selection, initial: list[Stored]) -> None:
        self._cursor = cursor
        self._selection = selection
        self._all = not (selection.selects or selection.namespace)
        self.initial = initial

    @property
    def version(self) -> int:
        """All changes up to this version have been handed out."""
        return self._cursor.version

    @property
    def is_at_end(self) -> bool:
        """Whether there is nothing to hand out now."""
        return self._cursor.is_at_end

    async def next(self) -> list[Delivery]:
        """Wait for changes of the selection and return them, at least one.

        Raises StatusError 410 when this reader was too slow to see them all.
        """
        while True:
            try:
                changes = self._cursor.read()
            except ExpiredError as error:
                raise errors.expired(str(error)) from None
            if not changes:
                await self._cursor.wait()
                continue
            found = [delivery for change in changes if (delivery := self._seen(change))]
            if found:
                return found

    def _seen(self, change: Change) -> Delivery | None:
        """An object that begins or ceases to be selected is added or deleted, to this watcher."""
        if self._all:
            return Delivery(change.type, change.stored)
        before = change.previous is not None and self._selection.matches(change.previous.obj)
        after = change.type is not EventType.DELETED and self._selection.matches(change.stored.obj)
        if after:
            return Delivery(EventType.MODIFIED if before else EventType.ADDED, change.stored)
        if not before:
            return None
        if change.type is EventType.DELETED:
            return Delivery(EventType.DELETED, change.stored)
        assert change.previous is not None
        return Delivery(EventType.DELETED, _as_of(change.previous, change.version))


def _as_of(stored: Stored, version: int) -> Stored:
    obj = at_version(stored.obj, version)
    return Stored(stored.key, obj, codec.encode(obj), version, stored.written_at)
