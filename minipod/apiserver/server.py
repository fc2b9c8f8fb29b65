"""The API server: listeners, and the handler behind them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web

from minipod.apiserver.door import Door, GuardedServer
from minipod.apiserver.http.handler import Handler
from minipod.apiserver.registry.registry import Registry
from minipod.apiserver.users import Authenticator, unix_peer
from minipod.client.node import NodeConnection

_BACKLOG = 512
_MAX_LINE = 1 << 20
"""Bytes of a request's first line: the command of an exec is part of the URL."""
_MAX_HEADER = 1 << 16
_SHUTDOWN_TIMEOUT = 3.0
"""Seconds that requests in progress get to finish when the server stops."""

_OPTIONS: Mapping[str, Any] = {
    "handler_cancellation": True,  # a watch whose client has gone would otherwise wait for ever
    "access_log": None,
    "max_line_size": _MAX_LINE,
    "max_field_size": _MAX_HEADER,
}


@dataclass(frozen=True, slots=True)
class UnixListener:
    """A socket file for root alone (mode 0600), whose peers are known by the kernel's word."""

    path: Path
    authenticate: Authenticator = unix_peer
    inherited: socket.socket | None = None
    """The socket that a service manager listens with there, and goes on listening with after this process."""

    def open(self) -> socket.socket:
        """Raises OSError; EADDRINUSE when another daemon listens there."""
        if self.inherited is not None:
            return self.inherited
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if _answers(self.path):
            raise OSError(errno.EADDRINUSE, "another daemon listens here", str(self.path))
        self.path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            os.fchmod(sock.fileno(), 0o600)  # before bind(2), which gives the file the socket's mode
            sock.bind(str(self.path))
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
        return sock

    def closed(self) -> None:
        if self.inherited is None:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class TcpListener:
    """`port` 0 takes a free one. Who is let in is for `authenticate` to say."""

    host: str
    port: int
    authenticate: Authenticator
    tls: ssl.SSLContext | None = None

    def open(self) -> socket.socket:
        """Raises OSError."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=_BACKLOG)
        except OSError as error:
            why = f"cannot listen (listen in the configuration): {error.strerror}"
            raise OSError(error.errno, why, f"{self.host}:{self.port}") from error

    def closed(self) -> None:
        pass


Listener: TypeAlias = UnixListener | TcpListener


@dataclass(slots=True)
class _Site:
    listener: Listener
    sock: socket.socket
    runner: web.ServerRunner


class ApiServer:
    """Serves one registry. `nodes` (name -> connection) may be filled after the start, when kubelets are there."""

    def __init__(self, registry: Registry, nodes: Mapping[str, NodeConnection]) -> None:
        self.ready = False
        """What /readyz says; for the daemon to set once everything has started."""
        self._closing = False
        self._handler = Handler(registry, nodes, lambda: self.ready, lambda: self._closing)
        self._sites: list[_Site] = []

    @property
    def ports(self) -> list[int]:
        """The TCP listeners' ports, in their order."""
        return [s.sock.getsockname()[1] for s in self._sites if isinstance(s.listener, TcpListener)]

    async def start(self, listeners: Sequence[Listener]) -> None:
        """Listen everywhere or raise OSError and listen nowhere."""
        try:
            for listener in listeners:
                await self._listen(listener)
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Accept no more, end what streams, let other requests finish."""
        self._closing = True
        for site in self._sites:
            site.listener.closed()
        self._handler.end_streams()
        await asyncio.gather(*(site.runner.cleanup() for site in self._sites))
        self._sites.clear()

    async def _listen(self, listener: Listener) -> None:
        sock = listener.open()

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await self._handler.answer(request, listener.authenticate)

        tls = listener.tls if isinstance(listener, TcpListener) else None
        guarded = GuardedServer(answer, _OPTIONS) if tls else None
        runner = web.ServerRunner(
            guarded or web.Server(answer, **_OPTIONS), shutdown_timeout=_SHUTDOWN_TIMEOUT
        )
        await runner.setup()
        self._sites.append(_Site(listener, sock, runner))
        if tls and guarded:
            await Door(runner, guarded, sock, tls, _BACKLOG).start()
        else:
            await web.SockSite(runner, sock, backlog=_BACKLOG).start()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
