"""One request and its answer over a connection of their own, in the clear or over TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import cache

from minipod.kubelet.prober.http_reply import HttpReply
from minipod.kubelet.prober.sockets import Address, begin, dial, readable, writable

READ_SIZE = 16 * 1024

_CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL:!SHA1:!AESCCM"
"""Python's own choice without those whose keys are agreed on by DHE."""

_REFUSALS = ("SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY")
"""How OpenSSL names it when a peer finds nothing to its liking in what it was offered."""

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
            # A peer may send faster than its words are read: others have their turn.
            if not reply.complete:
                await asyncio.sleep(0)
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
    try:
        await _tls_exchange(address, request, reply, server_name, tls_context())
    except ssl.SSLError as error:
        if error.reason not in _REFUSALS:
            raise
        await _tls_exchange(address, request, reply, server_name, old_tls_context())


async def _tls_exchange(
    address: Address, request: bytes, reply: HttpReply, server_name: str, context: ssl.SSLContext
) -> None:
    sock = await dial(address)
    try:
        reader, writer = await asyncio.open_connection(
            sock=sock,
            ssl=context,
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
def tls_context() -> ssl.SSLContext:
    """The kubelet's: any certificate will do, for a probe asks whether somebody answers, not who.

    A handshake is computed while the daemon waits, and it is the peer that chooses what. As in Go, that is never
    Diffie-Hellman in a finite field, where primes of 10000 bits take seconds. TLS 1.3 has it as groups beside the
    curves, and a context can be told of one group only: P-256, which every implementation must have (RFC 8446, 9.1).
    """
    context = _any_certificate()
    context.set_ecdh_curve("prime256v1")
    return context


@cache
def old_tls_context() -> ssl.SSLContext:
    """For a peer that refused: in TLS 1.2 a curve stands for that of its certificate too, and any will do there."""
    context = _any_certificate()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(_CIPHERS)
    return context
