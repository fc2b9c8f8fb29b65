"""A stream that arrives in the event loop, read by a thread as if it were a file."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterable, Callable

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
        self._waiting: concurrent.futures.Future[bytes | None] | None = None
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

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    def _next(self) -> bytes | None:
        self._abort.check()
        self._waiting = asyncio.run_coroutine_threadsafe(self._fetch(), self._loop)
        try:
            return self._waiting.result()
        except AbortedError:
            raise
        except concurrent.futures.CancelledError as error:
            raise AbortedError from error
        except Exception as error:
            raise InvalidImageError(f"its transfer broke off: {error or type(error).__name__}") from error

    async def _fetch(self) -> bytes | None:
        self._abort.check()  # the abort may have come before there was anything to wake
        return await anext(self._pieces, None)
