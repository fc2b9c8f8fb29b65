"""One request and its answer over a connection of their own, in the clear or over TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import cache

from minipod.kubelet.prober.http_reply import HttpReply
from minipod.kubelet.prober.sockets import Address, begin, dial, readable, writable

READ_SIZE = 16 * 1024

TLS_SHUTDOWN = 1.0
"""Seconds a peer may take to say goodbye."""


async def exchange(address: Address, request: bytes, reply: HttpReply) -> None:
    """Ask, and feed `reply` until it is complete. Raises OSError, MalformedReplyError."""
    sock = begin(address)
    try:
        await _send(sock, request)
        while not reply.complete:
            try:
                data = sock.recv(READ_SIZE)
            except BlockingIOError:
                await readable(sock)
                continue
            if not data:
                reply.end()
            reply.feed(data)
    finally:
        sock.close()


async def _send(sock: socket.socket, request: bytes) -> None:
    """A peer on this machine is mostly connected by now; trying costs less than asking."""
    left = memoryview(request)
    while left:
        try:
            left = left[sock.send(left, socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            await writable(sock)


async def tls_exchange(address: Address, request: bytes, reply: HttpReply, server_name: str) -> None:
    """The same with TLS, whoever the peer says it is. Raises ssl.SSLError besides."""
    sock = await dial(address)
    try:
        reader, writer = await asyncio.open_connection(
            sock=sock,
            ssl=_context(),
            server_hostname=server_name,
            ssl_shutdown_timeout=TLS_SHUTDOWN,
            limit=READ_SIZE,
        )
    except BaseException:
        sock.close()
        raise
    try:
        writer.write(request)
        while not reply.complete:
            data = await reader.read(READ_SIZE)
            if not data:
                reply.end()
            reply.feed(data)
    finally:
        writer.transport.abort()


@cache
def _context() -> ssl.SSLContext:
    """The kubelet's: any certificate will do, for a probe asks whether somebody answers, not who."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
