"""The last changes of one resource, kept in memory for watchers.

Watchers keep a place in the window instead of a queue of their own: however many and however slow they are, the
memory is that of one window, and one that falls out of it is told so (410 Gone) and lists again.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right

from minipod.storage.errors import ExpiredError
from minipod.storage.interface import Change

MAX_CHANGES = 1024
MAX_BYTES = 16 << 20
"""Encoded size of the changes in a window; the newest change stays whatever its size."""


class ChangeWindow:
    """Changes after the version `oldest`; whoever saw that version or a newer one can go on from it."""

    def __init__(self, oldest: int, *, max_changes: int = MAX_CHANGES, max_bytes: int = MAX_BYTES) -> None:
        self.oldest = oldest
        self.newest = oldest
        self._max_changes = max_changes
        self._max_bytes = max_bytes
        self._changes: list[Change] = []
        self._dropped = 0
        self._bytes = 0
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def start(self) -> int:
        """Place of the first change that is kept."""
        return self._dropped

    @property
    def end(self) -> int:
        """Place after the last change."""
        return self._dropped + len(self._changes)

    def append(self, change: Change) -> None:
        """Take a change in and wake whoever waits for one."""
        self._changes.append(change)
        self._bytes += len(change.stored.encoded)
        self.newest = change.version
        # Cutting in big steps makes each append cheap: at most twice the limit is held for a while.
        if len(self._changes) >= 2 * self._max_changes or self._bytes > self._max_bytes:
            self._cut()
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def place_after(self, version: int) -> int:
        """Where the changes after `version` begin. Raises ExpiredError."""
        if version < self.oldest:
            raise ExpiredError(version, self.oldest)
        return self._dropped + bisect_right(self._changes, version, key=lambda change: change.version)

    def read(self, place: int, limit: int) -> list[Change]:
        """Up to `limit` changes from `place` on. Raises ExpiredError when some of them are gone."""
        if place < self._dropped:
            raise ExpiredError(0, self.oldest)
        begin = place - self._dropped
        return self._changes[begin : begin + limit]

    async def wait(self, place: int) -> None:
        """Return once there is a change at `place`."""
        while self.end <= place:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)

    def _cut(self) -> None:
        count = max(0, len(self._changes) - self._max_changes)
        size = self._bytes - sum(len(change.stored.encoded) for change in self._changes[:count])
        while size > self._max_bytes and count < len(self._changes) - 1:
            size -= len(self._changes[count].stored.encoded)
            count += 1
        if count:
            self.oldest = self._changes[count - 1].version
            del self._changes[:count]
            self._dropped += count
            self._bytes = size


class Cursor:
    """A watcher's place in a window."""

    def __init__(self, window: ChangeWindow, place: int, version: int) -> None:
        self._window = window
        self._place = place
        self.version = version
        """Everything up to this version has been read."""

    @property
    def is_at_end(self) -> bool:
        return self._place == self._window.end

    def read(self, limit: int = 256) -> list[Change]:
        """The next changes, none if there are none yet. Raises ExpiredError when this reader was too slow."""
        try:
            changes = self._window.read(self._place, limit)
        except ExpiredError as error:
            raise ExpiredError(self.version, error.oldest) from None
        if changes:
            self._place += len(changes)
            self.version = changes[-1].version
        return changes

    async def wait(self) -> None:
        """Return once read() has something to give."""
        await self._window.wait(self._place)
