"""The near end of a process's streams in the daemon: file descriptors that came from a shim, read and written here."""

from __future__ import annotations

from typing import Literal, Protocol

from minipod.runtime.types import ProcessExit


class ProcessStreams(Protocol):
    """An exec or an attach."""

    async def read(self) -> tuple[Literal["stdout", "stderr"], bytes] | None:
        """The next piece of output; None once all output streams have ended."""

    async def write_stdin(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> ProcessExit: ...

    async def close(self) -> None:
        """Let go. An exec'd process that still runs is ended: SIGHUP on a tty, SIGKILL to its group without."""
