"""The one thread that writes: takes what has gathered, commits it as one transaction, tells the loop.

While a batch is on its way to the disk the next one gathers, so the more writers there are at once the more of
them share a commit, and a lone one never waits for company.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence

from minipod.storage.database import Database, Row
from minipod.storage.errors import WriteFailedError


class PendingWrite:
    """One write on its way. `base` is the write it builds upon, if that one is on its way as well."""

    __slots__ = ("base", "done", "durable", "error", "row")

    def __init__(self, row: Row, *, durable: bool, base: PendingWrite | None) -> None:
        self.row = row
        self.durable = durable
        self.base = base
        self.error: WriteFailedError | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class BatchWriter:
    """Feeds the thread. `on_batch` runs in the loop after each batch, in order, failed writes marked with `error`."""

    def __init__(self, database: Database, on_batch: Callable[[Sequence[PendingWrite]], None]) -> None:
        self._database = database
        self._on_batch = on_batch
        self._gathering: list[PendingWrite] = []
        self._busy = False
        self._batches: queue.SimpleQueue[list[PendingWrite] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._run, name="state-writer", daemon=True)
        self._thread.start()

    def add(self, write: PendingWrite) -> None:
        """Queue a write; its `done` is for on_batch to resolve."""
        self._gathering.append(write)
        self._idle.clear()
        if not self._busy:
            self._busy = True
            # After this turn of the loop: writes made in the same turn share the commit.
            self._loop.call_soon(self._send)

    async def close(self) -> None:
        """Write what is queued, then end the thread."""
        await self._idle.wait()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _send(self) -> None:
        batch, self._gathering = self._gathering, []
        self._batches.put(batch)

    def _finished(self, batch: list[PendingWrite]) -> None:
        try:
            self._on_batch(batch)
        finally:
            if self._gathering:
                self._send()
            else:
                self._busy = False
                self._idle.set()

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            self._commit(batch)
            try:
                self._loop.call_soon_threadsafe(self._finished, batch)
            except RuntimeError:
                return  # the loop was closed without close(): nobody is left to tell

    def _commit(self, batch: list[PendingWrite]) -> None:
        if all(write.base is None or write.base.error is None for write in batch):
            try:
                self._write(batch)
                return
            except WriteFailedError as error:
                if len(batch) == 1:
                    batch[0].error = error
                    return
        # One by one: a write that cannot be must not take others with it, only those that build upon it.
        for write in batch:
            write.error = write.base.error if write.base else None
            if write.error is None:
                try:
                    self._write([write])
                except WriteFailedError as error:
                    write.error = error

    def _write(self, batch: list[PendingWrite]) -> None:
        try:
            self._database.write(
                [write.row for write in batch],
                batch[-1].row.version,
                durable=any(write.durable for write in batch),
            )
        except WriteFailedError:
            raise
        except Exception as error:  # whatever it is, the thread must live and the writers must be told
            raise WriteFailedError(self._database.path, repr(error), no_space=False) from error
