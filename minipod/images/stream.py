"""A stream that arrives in the event loop, read by a thread as if it were a file."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterable, Callable
from typing import Any

from minipod.images.errors import InvalidImageError


class AbortedError(Exception):
    """Nobody waits for the work any more."""


class Abort:
    """Tells a thread to stop. `check` is called by the thread now and then."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.wake: Callable[[], None] = lambda: None
        """Called by set(), for a thread that waits and does not check."""

    def set(self) -> None:
        """Called in the loop."""
        self._event.set()
        self.wake()

    def check(self) -> None:
        if self._event.is_set():
            raise AbortedError


class ArrivingStream:
    """Gives a thread what an async iterable yields in `loop`. Made in the loop, read by one thread."""

    def __init__(self, pieces: AsyncIterable[bytes], loop: asyncio.AbstractEventLoop, abort: Abort) -> None:
        self._pieces = aiter(pieces)
        self._loop = loop
        self._abort = abort
        self._rest = memoryview(b"")
        self._fetching: asyncio.Task[Any] | None = None
        abort.wake = self._wake

    def read(self, count: int, /) -> bytes:
        """Up to `count` bytes, b"" at the end. Raises InvalidImageError when the sender broke off."""
        while not self._rest:
            piece = self._next()
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        data = bytes(self._rest[:count])
        self._rest = self._rest[count:]
        return data

    def _next(self) -> bytes | None:
        self._abort.check()
        try:
            return asyncio.run_coroutine_threadsafe(self._fetch(), self._loop).result()
        except AbortedError:
            raise
        except concurrent.futures.CancelledError as error:
            raise AbortedError from error
        except Exception as error:
            raise InvalidImageError(f"its transfer broke off: {error or type(error).__name__}") from error

    # -- in the loop, both, so that the one sees what the other did ----------------------------------------------

    async def _fetch(self) -> bytes | None:
        self._abort.check()
        self._fetching = asyncio.current_task()
        try:
            return await anext(self._pieces, None)
        finally:
            self._fetching = None

    def _wake(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
