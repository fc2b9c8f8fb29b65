"""A shim's socket, shim.sock: root's own, and for root only."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from minipod.runtime.poller import Poller
from minipod.runtime.state import SOCKET

BACKLOG = 16
ACCEPT_PAUSE = 1.0
"""Seconds until the next try after a connection could not be accepted for want of descriptors or memory."""

_CREDENTIALS = struct.Struct("iII")


class Listener:
    """Calls `on_connection(socket)`, who owns it then, for every peer of the same user."""

    def __init__(
        self,
        poller: Poller,
        on_connection: Callable[[socket.socket], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._poller = poller
        self._on_connection = on_connection
        self._on_trouble = on_trouble
        self._socket: socket.socket | None = None

    def open(self, directory: Path) -> None:
        """Listen at shim.sock in `directory`. Raises OSError."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        old = os.umask(0o177)
        try:
            # A socket's path may have 107 bytes only; this one is short whatever the directory's is.
            listener.bind(f"/proc/self/fd/{directory_fd}/{SOCKET}")
        finally:
            os.umask(old)
            os.close(directory_fd)
        listener.listen(BACKLOG)
        self._socket = listener
        self._watch()

    def close(self) -> None:
        if self._socket is not None:
            self._poller.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _watch(self) -> None:
        if self._socket is not None:
            self._poller.watch(self._socket.fileno(), self._accept)

    def _accept(self, _events: int) -> None:
        assert self._socket is not None
        try:
            peer, _ = self._socket.accept()
        except BlockingIOError:  # gone again
            return
        except OSError as error:  # asking again at once would spin
            self._on_trouble(f"cannot accept a connection: {error}")
            self._poller.forget(self._socket.fileno())
            self._poller.call_later(ACCEPT_PAUSE, self._watch)
            return
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(credentials)[1] == os.geteuid():
            self._on_connection(peer)
        else:
            peer.close()
