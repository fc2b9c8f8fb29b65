"""What the daemon knows of one sandbox: the truth as the shim last told it, and the way to the shim."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from minipod.runtime.channel import (
    TO_DAEMON,
    VERSION,
    ContainerChanged,
    ContainerRemoved,
    Hello,
    Message,
    Received,
    Refused,
    SandboxChanged,
    Trouble,
    Welcome,
)
from minipod.runtime.errors import NotFoundError, ProtocolError, ShimGoneError, WrongStateError
from minipod.runtime.link import Link, refusal
from minipod.runtime.state import SOCKET, ContainerRecord, SandboxRecord, StateDirectory, sandbox_status
from minipod.runtime.types import ContainerStatus, OverlayRootfs

log = logging.getLogger(__name__)

HELLO_TIMEOUT = 10.0
"""Seconds for a shim that listens to say who it is."""


class SandboxHandle:
    """`link` is None once the shim is dead; the status then is what was found on record.

    `on_change(handle)` after every event of the shim; `on_lost(handle)` when its connection ends unexpectedly.
    """

    def __init__(
        self,
        record: SandboxRecord,
        directory: StateDirectory,
        *,
        on_change: Callable[[SandboxHandle], None],
        on_lost: Callable[[SandboxHandle], None],
    ) -> None:
        self.record = record
        self.directory = directory
        self.rootfs: dict[str, OverlayRootfs] = {}
        """Writable layers by container id, to be deleted with it."""
        self.link: Link | None = None
        self.pidfd = -1
        self.ending = False
        """Set before the shim is told to end: its hanging up is no news then."""
        self.status = sandbox_status(record, ())
        self._on_change = on_change
        self._on_lost = on_lost
        self._born: asyncio.Future[None] | None = None
        self._connecting = False

    @property
    def uid(self) -> str:
        return self.record.config.uid

    @property
    def cgroup(self) -> Path:
        return self.record.cgroup

    def living(self) -> Link:
        """The way to the shim. Raises WrongStateError."""
        if self.link is None or self.link.closed:
            raise WrongStateError(f"sandbox {self.uid} has ended")
        return self.link

    def container(self, container_id: str) -> ContainerStatus:
        """Raises NotFoundError."""
        found = self.status.container(container_id)
        if found is None:
            raise NotFoundError(f"no container {container_id} in sandbox {self.uid}")
        return found

    def bury(self, record: SandboxRecord, containers: dict[str, ContainerRecord]) -> None:
        """The shim is dead; this is what is known of its sandbox."""
        self.close()
        self.record = record
        self.status = sandbox_status(record, tuple(c.status for c in containers.values()))
        self.rootfs = {container_id: c.rootfs for container_id, c in containers.items()}
        self._on_change(self)

    def forget_container(self, container_id: str) -> None:
        others = tuple(c for c in self.status.containers if c.id != container_id)
        self.status = replace(self.status, containers=others)

    # -- connecting ------------------------------------------------------------------------------------------------

    def open_link(self, sock: socket.socket) -> Link:
        self.link = Link(sock, TO_DAEMON, on_event=self._event, on_lost=self._lost)
        return self.link

    async def birth(self) -> None:
        """After open_link() on a new shim's first connection: wait until it has made the sandbox.

        Raises SandboxError when it could not, ShimGoneError when it died.
        """
        self._born = asyncio.get_running_loop().create_future()
        try:
            await self._born
        finally:
            self._born = None

    async def reconnect(self) -> None:
        """Connect to the shim's socket and ask for its state. Raises OSError or RuntimeServiceError."""
        link = self.open_link(self._connect())
        self._connecting = True
        try:
            # At once, for the next event may have come with it, and must not be undone by what was before it.
            await link.request(Hello(VERSION), bound=HELLO_TIMEOUT, on_answer=self._welcome)
        except BaseException:
            self.close()
            raise
        finally:
            self._connecting = False

    async def shim_ended(self) -> None:
        """Wait for the shim's process to end; at once when it is not known."""
        if self.pidfd < 0:
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self.pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self.pidfd)

    def close(self) -> None:
        """Hang up; nothing ends by that."""
        if self.link is not None:
            self.link.close()
            self.link = None
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def _connect(self) -> socket.socket:
        directory = os.open(self.directory.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            # A socket's path may have 107 bytes only; this one is short whatever the directory's is.
            sock.connect(f"/proc/self/fd/{directory}/{SOCKET}")
        except BaseException:
            sock.close()
            raise
        finally:
            os.close(directory)
        return sock

    # -- what the shim says ----------------------------------------------------------------------------------------

    def _event(self, received: Received) -> None:
        message = received.message
        if isinstance(message, Trouble):
            log.warning("shim: %s", message.message, extra={"uid": self.uid, "pid": self.status.shim_pid})
        elif isinstance(message, Welcome | Refused):
            self._birth_over(received)
        elif self._apply(message):
            self._on_change(self)

    def _birth_over(self, received: Received) -> None:
        message = received.message
        try:
            if isinstance(message, Refused):
                raise refusal(message)
            self._welcome(received)
        except Exception as error:
            if self._born is None or self._born.done():
                log.warning("shim: %s", error, extra={"uid": self.uid})
            else:
                self._born.set_exception(error)
        else:
            if self._born is not None and not self._born.done():
                self._born.set_result(None)

    def _welcome(self, received: Received) -> None:
        """Take in the shim's own account of everything, and its pidfd."""
        message = received.message
        if not isinstance(message, Welcome) or len(received.fds) != 1:
            for fd in received.fds:
                os.close(fd)
            raise ProtocolError(f"expected Welcome, got {type(message).__name__}")
        if self.pidfd >= 0:
            os.close(self.pidfd)
        (self.pidfd,) = received.fds
        if message.version != VERSION:
            raise ProtocolError(f"the shim speaks version {message.version} of the protocol, not {VERSION}")
        self.status = message.sandbox

    def _apply(self, message: Message) -> bool:
        """Take in an event; whether it changed anything."""
        match message:
            case SandboxChanged():
                self.status = replace(
                    self.status,
                    state=message.state,
                    infra_pid=message.infra_pid,
                    resources=message.resources,
                )
            case ContainerChanged():
                known = {c.id: c for c in self.status.containers} | {message.container.id: message.container}
                self.status = replace(self.status, containers=tuple(known.values()))
            case ContainerRemoved():
                self.forget_container(message.container_id)
            case _:
                return False
        return True

    def _lost(self) -> None:
        if self._born is not None:
            if not self._born.done():
                died = ShimGoneError(f"the shim of sandbox {self.uid} died while it was made")
                self._born.set_exception(died)
        elif not (self.ending or self._connecting):  # whoever connects hears of it from the request
            self._on_lost(self)
