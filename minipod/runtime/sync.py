"""What a child says to its parent between clone and execve, over one seqpacket socket.

Each packet is one JSON object: a warning, the console (its master side rides along as SCM_RIGHTS) or the failure that
ended the start. End of file without a failure means that execve succeeded: the child's end is close-on-exec. The other
way there is one word, for a child that was told to wait.
"""

from __future__ import annotations

import _socket  # the class below socket.socket, whose wrapping every shim would pay for in pages of its own
import errno
import json
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from minipod.runtime.types import StartFailure

MAX_PACKET = 16384
"""Longest packet; a child shortens its texts so that they fit."""

_MAX_TEXT = 1200
"""Characters of one text; JSON writes some of them as six bytes."""

_FD = struct.Struct("i")
_GO = b"go"


@dataclass(frozen=True, slots=True)
class ConsoleReady:
    """The process has a terminal; `master` is its master side, now owned by whoever received this."""

    master: int


@dataclass(frozen=True, slots=True)
class StartWarning:
    """Something asked for could not be had on this host, and the process starts without it."""

    message: str


Event = ConsoleReady | StartWarning | StartFailure


def channel() -> tuple[int, int]:
    """A new (parent end, child end), both close-on-exec. The parent's end is non-blocking."""
    parent, child = _socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent.setblocking(False)
    return parent.detach(), child.detach()


def receive(sync_fd: int) -> Event | None:
    """The next event, or None at end of file. Raises BlockingIOError while there is none yet.

    A torn packet cannot happen on a seqpacket socket of one writer; an unknown kind is a failure.
    """
    sock = _socket.socket(fileno=sync_fd)
    try:
        try:
            data, fds = _read(sock)
        except ConnectionResetError:
            # The child went before it had read the word to go on. That is told first, and once; then what it said.
            data, fds = _read(sock)
    finally:
        sock.detach()
    return _decode(data, fds) if data else None


def _read(sock: _socket.socket) -> tuple[bytes, list[int]]:
    # Not recv_fds: in Python 3.11 it drops its flags, and the descriptor would reach every later child.
    room = socket.CMSG_LEN(_FD.size)
    data, ancillary, _flags, _address = sock.recvmsg(MAX_PACKET, room, socket.MSG_CMSG_CLOEXEC)
    return data, [_FD.unpack(passed)[0] for _level, kind, passed in ancillary if kind == socket.SCM_RIGHTS]


def _decode(data: bytes, fds: list[int]) -> Event:
    message = json.loads(data)
    match message.pop("type"):
        case "console":
            return ConsoleReady(fds[0])
        case "warning":
            return StartWarning(message["message"])
        case "failure":
            return StartFailure(**message)
        case other:
            return StartFailure(
                stage="sync",
                errno=errno.EPROTO,
                operand=str(other),
                message="unknown message from the child",
            )


def send_failure(sync_fd: int, failure: StartFailure) -> None:
    _send(
        sync_fd,
        {
            "type": "failure",
            "stage": failure.stage,
            "errno": failure.errno,
            "operand": failure.operand[:_MAX_TEXT],
            "message": failure.message[:_MAX_TEXT],
        },
    )


def send_warning(sync_fd: int, message: str) -> None:
    _send(sync_fd, {"type": "warning", "message": message[:_MAX_TEXT]})


def send_console(sync_fd: int, master: int) -> None:
    _send(sync_fd, {"type": "console"}, (master,))


def _send(sync_fd: int, message: dict[str, str | int], fds: Sequence[int] = ()) -> None:
    sock = socket.socket(fileno=sync_fd)
    try:
        socket.send_fds(sock, [json.dumps(message).encode()], fds)
    finally:
        sock.detach()


def proceed(sync_fd: int) -> None:
    """Parent: let a child that was launched with `hold` become its command. One that has failed is past caring."""
    sock = _socket.socket(fileno=sync_fd)
    try:
        sock.send(_GO, socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        sock.detach()


def wait_until_told(sync_fd: int) -> bool:
    """Child: block until the parent says to go on; False when it has gone instead."""
    return os.read(sync_fd, len(_GO)) == _GO


def close(fd: int) -> None:
    """Close a descriptor that may already be closed."""
    try:
        os.close(fd)
    except OSError:
        pass
