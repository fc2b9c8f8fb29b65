"""Entries for systemd's journal with fields of their own (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/)."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterable
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def encode(fields: Iterable[tuple[str, bytes]]) -> bytes:
    """One entry. A field whose value has a line break says its length first, so no value can pose as a field."""
    parts = []
    for name, value in fields:
        if b"\n" in value:
            parts += [name.encode(), b"\n", len(value).to_bytes(8, "little"), value, b"\n"]
        else:
            parts += [name.encode(), b"=", value, b"\n"]
    return b"".join(parts)


class Journal:
    """A connection to journald, which never waits for it."""

    def __init__(self, path: Path = SOCKET) -> None:
        """Raises OSError when no journal is there."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, fields: Iterable[tuple[str, bytes]]) -> None:
        """Raises BlockingIOError when journald does not keep up, another OSError when it is not there."""
        entry = encode(fields)
        try:
            self._socket.send(entry)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_by_file(entry)

    def close(self) -> None:
        self._socket.close()

    def _send_by_file(self, entry: bytes) -> None:
        """What is too large for a datagram goes in a sealed file in memory."""
        fd = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            left = memoryview(entry)
            while left:
                left = left[os.write(fd, left) :]
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            socket.send_fds(self._socket, [b""], [fd])
        finally:
            os.close(fd)
