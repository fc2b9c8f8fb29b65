"""The near end of an exec or attach in the daemon: descriptors that came from a shim, read and written here.

Nothing is read before it is asked for, so a slow client slows the process down (exec) or falls behind (attach), and
never fills the daemon's memory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from minipod.linux import pty
from minipod.runtime.channel import CloseStdin, CloseStreams
from minipod.runtime.errors import ShimGoneError
from minipod.runtime.link import Link
from minipod.runtime.types import ProcessExit

READ_SIZE = 64 * 1024

OutputName = Literal["stdout", "stderr"]


class ProcessStreams(Protocol):
    """An exec or an attach."""

    async def read(self) -> tuple[OutputName, bytes] | None:
        """The next piece of output; None once all output streams have ended."""

    async def write_stdin(self, data: bytes) -> None:
        """Returns once the process's pipe has taken it all; what nobody reads any more is dropped."""

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None:
        """Columns and rows of the terminal; nothing without one."""

    async def wait(self) -> ProcessExit: ...

    async def close(self) -> None:
        """Let go. An exec'd process that still runs is ended: SIGHUP on a tty, SIGKILL to its group without."""


class ShimStreams:
    """ProcessStreams on descriptors by role: stdin, stdout, stderr, tty (which is stdin, and stdout unless given)."""

    def __init__(self, link: Link, streams_id: int, fds: Mapping[str, int]) -> None:
        self._link = link
        self._id = streams_id
        self._loop = asyncio.get_running_loop()
        self._exit = link.exit_of(streams_id)
        self._tty = fds.get("tty", -1)
        self._stdin = fds.get("stdin", self._tty)
        self._outputs: dict[int, OutputName] = {}
        if "stderr" in fds:
            self._outputs[fds["stderr"]] = "stderr"
        if "stdout" in fds or "tty" in fds:
            self._outputs[fds.get("stdout", self._tty)] = "stdout"
        self._open = set(fds.values())
        self._closed = False
        self._waiting: set[asyncio.Future[None]] = set()
        for fd in self._open:
            os.set_blocking(fd, False)

    async def read(self) -> tuple[OutputName, bytes] | None:
        while self._outputs:
            for fd, name in list(self._outputs.items()):
                data = self._read_now(fd)
                if data:
                    # The other stream comes first next time.
                    self._outputs[fd] = self._outputs.pop(fd)
                    return name, data
            if self._outputs:
                await self._readable()
        return None

    async def write_stdin(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self._stdin >= 0:
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                await self._writable(self._stdin)
            except OSError:  # EPIPE: nobody reads; EIO: the terminal has no process left
                await self.close_stdin()

    async def close_stdin(self) -> None:
        stdin, self._stdin = self._stdin, -1
        if stdin < 0:
            return
        if stdin != self._tty:
            self._close(stdin)
        try:
            self._link.send(CloseStdin(self._id))
        except ShimGoneError:
            pass

    async def resize(self, width: int, height: int) -> None:
        if self._tty >= 0:
            pty.set_window_size(self._tty, width=width, height=height)

    async def wait(self) -> ProcessExit:
        return await asyncio.shield(self._exit)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._outputs.clear()
        self._stdin = self._tty = -1
        for fd in list(self._open):
            self._close(fd)
        for waiting in self._waiting:
            _set(waiting)
        if not self._exit.done():
            try:
                self._link.send(CloseStreams(self._id))
            except ShimGoneError:
                pass
        self._link.forget_streams(self._id)

    def _read_now(self, fd: int) -> bytes:
        """What is there; b"" when there is nothing now. A stream that has ended is taken out."""
        try:
            data = os.read(fd, READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError:  # EIO: the terminal has no process left
            data = b""
        if not data:
            del self._outputs[fd]
            if fd != self._tty:
                self._close(fd)
        return data

    async def _readable(self) -> None:
        """Wait for output, for an end, or for close()."""
        await self._ready(list(self._outputs), self._loop.add_reader, self._loop.remove_reader)

    async def _writable(self, fd: int) -> None:
        await self._ready([fd], self._loop.add_writer, self._loop.remove_writer)

    async def _ready(
        self, fds: list[int], add: Callable[..., object], remove: Callable[[int], object]
    ) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(ready)
        for fd in fds:
            add(fd, _set, ready)
        try:
            await ready
        finally:
            self._waiting.discard(ready)
            for fd in fds:
                if fd in self._open:
                    remove(fd)

    def _close(self, fd: int) -> None:
        self._open.discard(fd)
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
        os.close(fd)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
