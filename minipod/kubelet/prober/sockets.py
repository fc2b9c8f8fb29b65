"""TCP connections to a container: opened from the daemon, never trusted, closed without a trace.

SO_LINGER with 0 seconds makes every close a reset, so that probes leave no TIME_WAIT behind on either side, as the
kubelet's dialer does (https://github.com/kubernetes/kubernetes/issues/89898).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Address(NamedTuple):
    """Where to connect to: an address family and what connect(2) takes for it."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


class NoSocketError(Exception):
    """This process, or the machine, has no socket left: that says nothing about the peer."""


class ResolveError(Exception):
    """A host name that has no address."""


async def resolve(host: str, port: int) -> Address:
    """The first address of a host. Raises ResolveError."""
    if "\0" in host:
        raise ResolveError(f"lookup {host!a}: no such host")
    found = _numeric(host, port)
    if found is not None:
        return found
    loop = asyncio.get_running_loop()
    try:
        # Threads of its own: names that take their time must not hold up the rest of the daemon.
        answers = await loop.run_in_executor(_resolvers(), _look_up, host, port)
    except (OSError, UnicodeError) as error:
        raise ResolveError(f"lookup {host}: no such host") from error
    return answers


def _numeric(host: str, port: int) -> Address | None:
    if ":" in host:
        try:
            socket.inet_pton(socket.AF_INET6, host)
        except OSError:
            return None
        return Address(socket.AF_INET6, (host, port, 0, 0))
    try:
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        return None
    return Address(socket.AF_INET, (host, port))


def _look_up(host: str, port: int) -> Address:
    family, _, _, _, sockaddr = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return Address(family, sockaddr)  # type: ignore[arg-type]


@cache
def _resolvers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, thread_name_prefix="probe-resolver")


def begin(address: Address) -> socket.socket:
    """A socket on its way to the peer. Raises OSError when the kernel knows at once that it cannot get there.

    NoSocketError when there is none to be had.
    """
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        if error.errno not in _EXHAUSTED:
            raise
        raise NoSocketError(f"cannot open a socket: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        code = sock.connect_ex(address.sockaddr)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


async def dial(address: Address) -> socket.socket:
    """A connected, non-blocking socket. Raises OSError."""
    sock = begin(address)
    try:
        await writable(sock)
        if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


async def writable(sock: socket.socket) -> None:
    """Wait until the socket is connected and takes bytes, or has failed."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    fd = sock.fileno()  # by socket object, asyncio's bookkeeping costs more than the probe
    loop.add_writer(fd, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(fd)


async def readable(sock: socket.socket) -> None:
    """Wait until there is something to read, an end or a failure."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    fd = sock.fileno()
    loop.add_reader(fd, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def joined(host: str, port: int) -> str:
    """HOST:PORT as URLs and messages write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def dial_error(shown: str, error: OSError) -> str:
    """The words a Go program has for a connection that did not come about."""
    return f"dial tcp {shown}: connect: {(error.strerror or str(error)).lower()}"
