"""A shim's connections to daemons: requests answered once, events pushed, sessions that end with their connection.

No peer can hold the shim up or bring it down: sending never blocks, a peer that does not read or that speaks nonsense
loses its connection and can come back.
"""

from __future__ import annotations

import os
import socket
from typing import Protocol

from minipod.runtime.channel import MAX_FRAME, TO_SHIM, Channel, Done, Message, Received, Refused
from minipod.runtime.errors import ProtocolError, RuntimeServiceError
from minipod.runtime.poller import READ, WRITE, Poller
from minipod.runtime.session import Session

MAX_BACKLOG = 2 * MAX_FRAME
"""Bytes a daemon may leave unread before its connection is closed; it can come back and ask for the state.

More than one message: the largest, which no socket takes at once, must not count as a peer that does not read."""


class Server(Protocol):
    """Who the connections belong to."""

    poller: Poller
    connections: set[Connection]

    def handle(self, connection: Connection, received: Received) -> None: ...

    def trouble(self, message: str) -> None: ...


class Request:
    """One request of one connection, to be answered once; the connection may be gone by then."""

    def __init__(self, connection: Connection, serial: int) -> None:
        self._connection = connection
        self._serial = serial

    def answer(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        self._connection.send(message, serial=self._serial, fds=fds)

    def finish(self, error: RuntimeServiceError | None) -> None:
        if error is None:
            self.answer(Done())
        else:
            self.refuse(error)

    def refuse(self, error: RuntimeServiceError) -> None:
        failure = getattr(error, "failure", None)
        self.answer(Refused(type(error).__name__, str(error), failure))


class Connection:
    """One daemon. Sessions opened through it end with it."""

    def __init__(self, sock: socket.socket, server: Server, *, admitted: bool = False) -> None:
        self.admitted = admitted
        """Whether the peer may ask for things: it has said Hello, or is the daemon the shim was made for."""
        self.informed = False
        """Whether the peer has been told the state, and so hears what changes."""
        self._channel: Channel | None = Channel(sock, TO_SHIM)
        self._server = server
        self._writing = False
        self.sessions: dict[int, Session] = {}
        server.poller.watch(self._channel.fileno(), self._on_events)

    def send(self, message: Message, *, serial: int = 0, fds: tuple[int, ...] = ()) -> None:
        """Never fails: a peer that is gone or does not read loses its connection."""
        if self._channel is None:
            for fd in fds:
                os.close(fd)
            return
        try:
            self._channel.send(message, serial=serial, fds=fds)
        except OSError:
            self.close()
            return
        self._watch_writing()
        if self._channel.backlog > MAX_BACKLOG:
            self.close()

    def session_ended(self, streams_id: int) -> None:
        self.sessions.pop(streams_id, None)

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        self._server.poller.forget(channel.fileno())
        channel.close()
        self._server.connections.discard(self)
        sessions, self.sessions = self.sessions, {}
        for session in sessions.values():
            session.close()

    def flush_and_close(self) -> None:
        """Say the last words, waiting for a peer that reads slowly but not for one that does not read."""
        if self._channel is not None:
            self._channel.socket.settimeout(1.0)
            try:
                self._channel.flush()
            except OSError:
                pass
            self.close()

    def _watch_writing(self) -> None:
        if self._channel is not None and (self._channel.backlog > 0) != self._writing:
            self._writing = not self._writing
            self._server.poller.change(self._channel.fileno(), READ | WRITE if self._writing else READ)

    def _on_events(self, events: int) -> None:
        if self._channel is None:
            return
        try:
            if events & WRITE:
                self._channel.flush()
                self._watch_writing()
            if events & ~WRITE:
                for received in self._channel.receive():
                    self._server.handle(self, received)
        except (EOFError, OSError):
            self.close()
        except ProtocolError as error:
            self._server.trouble(f"closing a connection: {error}")
            self.send(Refused("ProtocolError", str(error)))
            self.close()
