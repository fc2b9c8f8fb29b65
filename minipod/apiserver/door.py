"""The way in for whoever is on the network: strangers are few, wait briefly, and make room for those who come later.

A stranger is a connection whose peer has not shown a certificate, from accept(2) on: it is in the middle of the TLS
handshake, or anonymous. Whoever can reach the port can open as many as he likes, and each costs memory; so there are
only so many, and the oldest has to go when another comes. Real clients shake hands in milliseconds: it is the silent
and the slow that grow old. Clients with a certificate are known, and bounded by a larger number of their own.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from asyncio import sslproto
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from aiohttp import web

log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.requests")
"""aiohttp's: it would write a traceback for each request that is none."""
_quiet.setLevel(logging.CRITICAL)

MAX_STRANGERS = 64
STRANGER_LIFE = 30.0
"""Seconds an anonymous connection lasts: enough to ask how the server is."""
HANDSHAKE_TIMEOUT = 10.0
MAX_KNOWN = 4000
"""Connections with a certificate: watches of many clients."""
IDLE_TIMEOUT = 120.0
"""Seconds a connection is kept without a request: longer than Go's clients keep theirs (90)."""
MAX_FIELD, MAX_FIELDS = 16 * 1024, 64
"""Bytes of a header's field, and fields: 1 MiB in all, as Go's servers have it."""
TLS_BUFFER = 32 * 1024
"""Bytes asyncio reads at once from a TLS connection, and holds for each: its own 256 KiB would be 1 GB for 4000."""
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class GuardedServer(web.Server):
    """Hands connections to `answer`, and sends strangers away. Keywords are those of web.Server."""

    def __init__(
        self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], options: Mapping[str, Any]
    ) -> None:
        bounds = {"keepalive_timeout": IDLE_TIMEOUT, "max_field_size": MAX_FIELD, "max_headers": MAX_FIELDS}
        super().__init__(answer, **{**options, **bounds, "logger": _quiet})
        self._strangers: dict[web.RequestHandler, Callable[[], object]] = {}
        sslproto.SSLProtocol.max_size = TLS_BUFFER

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self.forget(handler)
        if not transport.get_extra_info("peercert"):
            leaving = asyncio.get_running_loop().call_later(STRANGER_LIFE, transport.abort)

            def send_away() -> None:
                leaving.cancel()
                transport.abort()

            self.let_wait(handler, send_away)
        elif len(self._connections) > MAX_KNOWN + MAX_STRANGERS:
            transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self.forget(handler)
        super().connection_lost(handler, exc)

    def let_wait(self, stranger: web.RequestHandler, send_away: Callable[[], object]) -> None:
        """Take in a stranger, and send the oldest away if there are too many."""
        self._strangers[stranger] = send_away
        if len(self._strangers) > MAX_STRANGERS:
            oldest = next(iter(self._strangers))
            self._strangers.pop(oldest)()

    def forget(self, stranger: web.RequestHandler) -> None:
        """It has gone, or is none any more."""
        self._strangers.pop(stranger, None)


class Door(web.SockSite):
    """Accepts connections, and shakes hands with each in a task of its own."""

    def __init__(
        self,
        runner: web.ServerRunner,
        server: GuardedServer,
        sock: socket.socket,
        tls: ssl.SSLContext,
        backlog: int,
    ) -> None:
        super().__init__(runner, sock, ssl_context=tls, backlog=backlog)
        self._guarded = server
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await web.BaseSite.start(self)
        self._sock.setblocking(False)
        self._spawn(self._accept())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sock.close()
        await super().stop()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._sock)
            except OSError as error:
                # Of accept(2), others are the peer's errors: it has gone already.
                if error.errno in _FULL:
                    log.warning("cannot accept connections for the moment: %s", error.strerror)
                    await asyncio.sleep(1)
                continue
            stranger = self._guarded()
            task = self._spawn(self._shake_hands(connection, stranger))
            self._guarded.let_wait(stranger, task.cancel)
            await asyncio.sleep(
                0
            )  # sock_accept() may not have waited: others have a turn, and the task starts

    async def _shake_hands(self, connection: socket.socket, stranger: web.RequestHandler) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: stranger, connection, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
            )
        except OSError as error:
            log.debug("a TLS handshake failed: %s", error)
            self._guarded.forget(stranger)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="tls-door")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
