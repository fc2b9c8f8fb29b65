"""The store: all objects in memory, every change on disk before anyone sees it.

Reads are answered from memory and never wait. A write is decided at once against the newest state (including what
is still on its way to the disk), gets the next version, and becomes visible, to readers and watchers in the order
of versions, when the disk has it. Use it from one event loop; only the writer thread touches the file.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minipod.api import codec
from minipod.api.errors import StatusError
from minipod.api.scheme import Resource
from minipod.client.interface import EventType
from minipod.storage.database import Database, Row
from minipod.storage.errors import StorageError
from minipod.storage.interface import Change, Decide, Keep, Key, Put, Stored, Written, at_version
from minipod.storage.retention import Retention, RetentionIndex
from minipod.storage.window import MAX_CHANGES, ChangeWindow, Cursor
from minipod.storage.writer import BatchWriter, PendingWrite

log = logging.getLogger(__name__)


class Store:
    """Objects of the given resources. `retention` names those that are kept for a while only."""

    def __init__(
        self,
        path: Path,
        resources: Iterable[Resource],
        *,
        retention: Mapping[str, Retention] | None = None,
        max_changes: int = MAX_CHANGES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = Database(path)
        self._types = {resource.group_resource: resource.type for resource in resources}
        self._retention = {name: RetentionIndex(policy) for name, policy in (retention or {}).items()}
        self._max_changes = max_changes
        self._clock = clock
        self._tables: dict[str, _Table] = {}
        self._pending: dict[Key, _Pending] = {}
        self._writer: BatchWriter | None = None
        self._assigned = 0
        self.version = 0
        """The newest version readers can see."""

    async def start(self) -> None:
        """Open the file and read it. Raises DatabaseError."""
        self._database.open()
        self.version = self._assigned = self._database.version()
        self._tables = {
            name: _Table(ChangeWindow(self.version, max_changes=self._max_changes)) for name in self._types
        }
        for row in self._database.rows():
            self._load(row)
        for index in self._retention.values():
            index.sort()
        self._writer = BatchWriter(self._database, self._finish)

    async def close(self) -> None:
        """Wait for what is being written, then let go of the file."""
        if self._writer:
            await self._writer.close()
            self._writer = None
        self._database.close()

    def get(self, key: Key) -> Stored | None:
        """What readers see."""
        return self._tables[key.resource].objects.get(key)

    def latest(self, key: Key) -> Stored | None:
        """The newest state, even if the disk does not have it yet: for decisions, not for answers."""
        pending = self._pending.get(key)
        return pending.result if pending else self.get(key)

    def list(self, resource: str, namespace: str = "") -> list[Stored]:
        """In the order of namespace and name; without a namespace, all."""
        return self._tables[resource].list(resource, namespace)

    def watch(self, resource: str, version: int | None = None) -> Cursor:
        """The changes after `version`, or after now. Raises ExpiredError."""
        window = self._tables[resource].window
        if version is None:
            return Cursor(window, window.end, self.version)
        return Cursor(window, window.place_after(version), version)

    async def write(self, key: Key, decide: Decide) -> Written:
        """Decide and wait until it is done. Raises what `decide` raises, and WriteFailedError."""
        base = self._pending.get(key)
        latest = base.result if base else self.get(key)
        decision = decide(latest)
        if isinstance(decision, Keep):
            if base:
                await _outcome(base)
            return Written(latest)
        if isinstance(decision, Put):
            pending = self._put(key, decision.obj, latest, base, durable=decision.durable)
        elif latest is None:
            return Written(None)
        else:
            pending = self._remove(key, latest, base, durable=decision.durable)
        self._enqueue(pending)
        self._expire(key)
        await _outcome(pending)
        return Written(pending.change.stored, removed=pending.result is None)

    def _put(
        self, key: Key, obj: Any, latest: Stored | None, base: _Pending | None, *, durable: bool
    ) -> _Pending:
        self._assigned += 1
        obj = at_version(obj, self._assigned)
        now = self._clock()
        stored = Stored(key, obj, codec.encode(obj), self._assigned, now)
        change = Change(EventType.MODIFIED if latest else EventType.ADDED, stored, latest)
        return _Pending(change, Row(key, self._assigned, now, stored.encoded), durable=durable, base=base)

    def _remove(self, key: Key, latest: Stored, base: _Pending | None, *, durable: bool) -> _Pending:
        self._assigned += 1
        obj = at_version(latest.obj, self._assigned)
        now = self._clock()
        last = Stored(key, obj, codec.encode(obj), self._assigned, now)
        change = Change(EventType.DELETED, last, latest)
        return _Pending(change, Row(key, self._assigned, now, None), durable=durable, base=base)

    def _enqueue(self, pending: _Pending) -> None:
        if self._writer is None:
            raise StorageError("the store is closed")
        key = pending.row.key
        self._pending[key] = pending
        index = self._retention.get(key.resource)
        if index and pending.result:
            index.touch(key, pending.row.written_at)
        elif index:
            index.forget(key)
        self._writer.add(pending)

    def _expire(self, written: Key) -> None:
        """Remove, in the same batch, what the write of this key has made too old or too many."""
        index = self._retention.get(written.resource)
        for key in index.take_due(written.namespace, self._clock()) if index else ():
            latest = self.latest(key)
            if latest is not None:
                pending = self._remove(key, latest, self._pending.get(key), durable=False)
                pending.done.add_done_callback(lambda done: done.exception())
                self._enqueue(pending)

    def _finish(self, batch: Sequence[PendingWrite]) -> None:
        """The disk has the batch (or refused parts of it): make it visible and tell the writers."""
        for pending in batch:
            assert isinstance(pending, _Pending)
            key = pending.row.key
            if self._pending.get(key) is pending:
                del self._pending[key]
            pending.base = None  # or a busy key would keep all its past in a chain
            if pending.error is None:
                self._tables[key.resource].apply(pending.change)
                self.version = pending.change.version
                if not pending.done.done():
                    pending.done.set_result(None)
            else:
                self._restore(key)
                if not pending.done.done():
                    pending.done.set_exception(pending.error)

    def _restore(self, key: Key) -> None:
        """A write failed: what it has changed in the order of expiry is as it was."""
        index = self._retention.get(key.resource)
        kept = self.latest(key)
        if index and kept:
            index.touch(key, kept.written_at)
        elif index:
            index.forget(key)

    def _load(self, row: Row) -> None:
        type_ = self._types.get(row.key.resource)
        if type_ is None or row.value is None:
            return
        try:
            obj = codec.decode(type_, row.value)
        except StatusError as error:
            # It stays in the file: a daemon that can read it again will serve it again.
            log.error(
                "cannot read a stored object, leaving it out: %s", error, extra={"key": "/".join(row.key)}
            )
            return
        stored = Stored(row.key, obj, row.value, row.version, row.written_at)
        self._tables[row.key.resource].load(stored)
        if index := self._retention.get(row.key.resource):
            index.touch(row.key, row.written_at)


class _Table:
    """The visible objects of one resource."""

    def __init__(self, window: ChangeWindow) -> None:
        self.objects: dict[Key, Stored] = {}
        self.window = window
        self._order: list[Key] = []

    def load(self, stored: Stored) -> None:
        """Take in what the file holds, in the order of keys."""
        self.objects[stored.key] = stored
        self._order.append(stored.key)

    def apply(self, change: Change) -> None:
        key = change.stored.key
        if change.type is EventType.DELETED:
            del self.objects[key]
            del self._order[bisect_left(self._order, key)]
        else:
            self.objects[key] = change.stored
            if change.type is EventType.ADDED:
                insort(self._order, key)
        self.window.append(change)

    def list(self, resource: str, namespace: str) -> list[Stored]:
        keys = self._order
        if namespace:
            begin = bisect_left(keys, (resource, namespace, ""))
            keys = keys[begin : bisect_left(keys, (resource, namespace + "\0", ""), begin)]
        objects = self.objects
        return [objects[key] for key in keys]


class _Pending(PendingWrite):
    """A write on its way, with what it will have changed."""

    __slots__ = ("change",)

    def __init__(self, change: Change, row: Row, *, durable: bool, base: PendingWrite | None) -> None:
        super().__init__(row, durable=durable, base=base)
        self.change = change

    @property
    def result(self) -> Stored | None:
        return None if self.change.type is EventType.DELETED else self.change.stored


async def _outcome(pending: PendingWrite) -> None:
    """Wait for a write; who is cancelled meanwhile leaves the write itself alone."""
    await asyncio.shield(pending.done)
