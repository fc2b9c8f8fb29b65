"""The daemon's end of a channel: requests awaited by serial, events handed on, all in the daemon's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Sequence

from minipod.runtime import errors
from minipod.runtime.channel import (
    Channel,
    CloseStreams,
    Message,
    Received,
    Refused,
    StreamsEnded,
    StreamsOpened,
)
from minipod.runtime.errors import (
    ProtocolError,
    RuntimeServiceError,
    SandboxError,
    ShimGoneError,
    StartError,
)
from minipod.runtime.types import ProcessExit

log = logging.getLogger(__name__)

REQUEST_TIMEOUT = 150.0
"""Seconds until a shim that does not answer counts as gone; longer than any bound of its own."""

LOST = ProcessExit(137, message="the pod's shim is gone")


class Link:
    """A connection to a shim (or to the spawner, which never answers).

    `on_event` hears every message that answers nothing; `on_lost` hears once that the connection has ended by itself.
    """

    def __init__(
        self,
        sock: socket.socket,
        accepts: Sequence[type[Message]],
        *,
        on_event: Callable[[Received], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._channel = Channel(sock, accepts)
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event
        self._on_lost = on_lost
        self._serial = 0
        self._waiting: dict[int, tuple[asyncio.Future[Received], Callable[[Received], None] | None]] = {}
        self._exits: dict[int, asyncio.Future[ProcessExit]] = {}
        self._writing = False
        self.closed = False
        self._loop.add_reader(self._channel.fileno(), self._readable)

    async def request(
        self,
        message: Message,
        *,
        bound: float = REQUEST_TIMEOUT,
        on_answer: Callable[[Received], None] | None = None,
    ) -> Received:
        """Send and wait for the answer, `bound` seconds at most. Raises what it was refused with, ShimGoneError.

        `on_answer` takes the answer in before any event that came after it is heard; what it raises, this raises.
        """
        if self.closed:
            raise ShimGoneError("the pod's shim is gone")
        self._serial += 1
        serial = self._serial
        future: asyncio.Future[Received] = self._loop.create_future()
        self._waiting[serial] = future, on_answer
        try:
            self.send(message, serial=serial)
            async with asyncio.timeout(bound):
                received = await future
        except TimeoutError as error:
            raise ShimGoneError(
                f"the pod's shim has not answered {type(message).__name__} for {bound:g} s"
            ) from error
        except BaseException:
            self._discard_answer(future)
            raise
        finally:
            self._waiting.pop(serial, None)
        if isinstance(received.message, Refused):
            raise refusal(received.message)
        return received

    def send(self, message: Message, *, serial: int = 0, fds: tuple[int, ...] = ()) -> None:
        """Send without waiting for anything. Raises ShimGoneError."""
        if self.closed:
            for fd in fds:
                os.close(fd)
            raise ShimGoneError("the pod's shim is gone")
        try:
            self._channel.send(message, serial=serial, fds=fds)
        except OSError as error:
            raise ShimGoneError(f"the pod's shim is gone: {error.strerror}") from error
        self._watch_writing()

    def exit_of(self, streams_id: int) -> asyncio.Future[ProcessExit]:
        """How the process behind opened streams ends; from their opening on, also when it already has."""
        return self._exits[streams_id]

    def forget_streams(self, streams_id: int) -> None:
        self._exits.pop(streams_id, None)

    def close(self) -> None:
        """Hang up. Whoever waits gets ShimGoneError."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._channel.fileno())
        self._loop.remove_writer(self._channel.fileno())
        self._channel.close()
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(ShimGoneError("the pod's shim is gone"))
        for exit_ in self._exits.values():
            if not exit_.done():
                exit_.set_result(LOST)

    def _readable(self) -> None:
        try:
            for received in self._channel.receive():
                self._received(received)
        except (EOFError, OSError, ProtocolError) as error:
            if isinstance(error, ProtocolError):
                log.error("hanging up on a peer: %s", error)
            if not self.closed:
                self.close()
                self._on_lost()

    def _received(self, received: Received) -> None:
        message = received.message
        if isinstance(message, StreamsEnded):
            exit_ = self._exits.get(message.streams_id)
            if exit_ is not None and not exit_.done():
                exit_.set_result(message.exit)
        elif received.serial == 0:
            self._on_event(received)
        else:
            if isinstance(message, StreamsOpened):
                self._exits[message.streams_id] = self._loop.create_future()
            future, on_answer = self._waiting.get(received.serial, (None, None))
            if future is None or future.done():
                self._discard(received)
            else:
                _settle(future, received, on_answer)

    def _discard_answer(self, future: asyncio.Future[Received]) -> None:
        """One that came before its request was cancelled, but too late to be seen."""
        if future.done() and not future.cancelled() and future.exception() is None:
            self._discard(future.result())

    def _discard(self, received: Received) -> None:
        """An answer nobody waits for any more. Its streams end with the connection if that is lost."""
        for fd in received.fds:
            os.close(fd)
        if isinstance(received.message, StreamsOpened):
            self.forget_streams(received.message.streams_id)
            with contextlib.suppress(ShimGoneError):
                self.send(CloseStreams(received.message.streams_id))

    def _watch_writing(self) -> None:
        wanted = self._channel.backlog > 0
        if wanted and not self._writing:
            self._loop.add_writer(self._channel.fileno(), self._writable)
        elif self._writing and not wanted:
            self._loop.remove_writer(self._channel.fileno())
        self._writing = wanted

    def _writable(self) -> None:
        try:
            self._channel.flush()
        except OSError:
            return  # the reader sees the end
        self._watch_writing()


def refusal(message: Refused) -> RuntimeServiceError:
    """The exception a shim refused a request with."""
    cls = getattr(errors, message.error, None)
    if cls is StartError and message.failure is not None:
        return StartError(message.failure)
    if cls is SandboxError:
        return SandboxError(message.message, message.failure)
    known = isinstance(cls, type) and issubclass(cls, RuntimeServiceError) and cls is not StartError
    return cls(message.message) if known and cls is not None else RuntimeServiceError(message.message)


def _settle(
    future: asyncio.Future[Received], received: Received, on_answer: Callable[[Received], None] | None
) -> None:
    try:
        if on_answer is not None and not isinstance(received.message, Refused):
            on_answer(received)
    except Exception as error:
        future.set_exception(error)
    else:
        future.set_result(received)
