"""The client's end of a WebSocket (RFC 6455) on an HTTP connection: binary messages, ping and pong, close.

Written out because exec should start as fast as it can and aiohttp takes longer to import than the exec to run.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPResponse

from minipod.client.tls_http import SharedTlsSocket

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FIN = 0x80
_MASKED = 0x80
MAX_MESSAGE = 16 << 20
"""Bytes; a larger message is not one of a Kubernetes stream."""


class WebSocketError(OSError):
    """The other end does not speak RFC 6455."""


class WebSocket:
    """Messages over an upgraded connection. send() and close() may be called while another thread receives."""

    def __init__(self, connection: HTTPConnection, response: HTTPResponse, sock: socket.socket) -> None:
        """`response` is the 101 that came through the connection's socket. No timeout applies from here on."""
        self.protocol = response.headers.get("Sec-WebSocket-Protocol", "")
        """The subprotocol the server chose."""
        self._connection = connection
        self._response = response
        self._buffer = bytearray(_read_ahead(response, sock))
        self._socket = SharedTlsSocket(sock) if isinstance(sock, ssl.SSLSocket) else sock
        self._fragments = bytearray()
        self._lock = threading.Lock()
        self._open = True

    def send(self, data: bytes) -> None:
        """One binary message."""
        self._send_frame(_BINARY, data)

    def receive(self) -> list[bytes] | None:
        """Wait for bytes once and return the messages that are complete (maybe none yet); None after the end.

        Raises WebSocketError when the other end breaks the protocol.
        """
        messages: list[bytes] = []
        while True:
            while (frame := self._next_frame()) is not None:
                if not self._handle(*frame, messages):
                    return messages or None
            if messages:
                return messages
            data = self._socket.recv(1 << 16) if self._open else b""
            if not data:
                self._open = False
                return None
            self._buffer += data

    def close(self, code: int = 1000) -> None:
        """Say goodbye and hang up."""
        if self._open:
            self._open = False
            try:
                self._send_frame(_CLOSE, struct.pack("!H", code))
            except OSError:
                pass
        self._response.close()
        self._connection.close()

    def _handle(self, opcode: int, final: bool, payload: bytes, messages: list[bytes]) -> bool:
        """Take one frame; False when it ends the conversation."""
        if opcode == _CLOSE:
            if self._open:
                self._open = False
                self._answer(_CLOSE, payload[:2])
            return False
        if opcode == _PING:
            self._answer(_PONG, payload)
        elif opcode in (_BINARY, _TEXT, _CONTINUATION):
            self._fragments += payload
            if len(self._fragments) > MAX_MESSAGE:
                raise WebSocketError(f"a message of more than {MAX_MESSAGE} bytes")
            if final:
                messages.append(bytes(self._fragments))
                self._fragments.clear()
        return True

    def _answer(self, opcode: int, payload: bytes) -> None:
        try:
            self._send_frame(opcode, payload)
        except OSError:
            pass  # the other end need not stay for the answer, and what it has said before counts all the same

    def _next_frame(self) -> tuple[int, bool, bytes] | None:
        """(opcode, final, payload) when a whole frame is in the buffer. Servers do not mask (RFC 6455 5.1)."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        length, start = second & 0x7F, 2
        if length == 126:
            start = 4
            length = int.from_bytes(buffer[2:4], "big") if len(buffer) >= 4 else 0
        elif length == 127:
            start = 10
            length = int.from_bytes(buffer[2:10], "big") if len(buffer) >= 10 else 0
        if second & _MASKED or first & 0x70 or length > MAX_MESSAGE:
            raise WebSocketError("the server sent a malformed WebSocket frame")
        if len(buffer) < start + length:
            return None
        payload = bytes(buffer[start : start + length])
        del buffer[: start + length]
        return first & 0x0F, bool(first & _FIN), payload

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", _FIN | opcode, _MASKED | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", _FIN | opcode, _MASKED | 126, size)
        else:
            head = struct.pack("!BBQ", _FIN | opcode, _MASKED | 127, size)
        key = os.urandom(4)
        with self._lock:
            self._socket.sendall(head + key + _mask(payload, key))


def open_websocket(
    connection: HTTPConnection, target: str, protocols: Sequence[str]
) -> tuple[WebSocket | None, HTTPResponse]:
    """Ask to upgrade. (None, response) when the server refused: the body, with its reason, is still to be read.

    Raises OSError, HTTPException (WebSocketError for an answer that is no WebSocket handshake).
    """
    key = base64.b64encode(os.urandom(16))
    connection.request(
        "GET",
        target,
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key.decode(),
            "Sec-WebSocket-Protocol": ", ".join(protocols),
        },
    )
    sock = connection.sock
    response = connection.getresponse()
    if response.status != 101:
        return None, response
    # SHA-1 is what RFC 6455 4.1 prescribes; it proves a handshake, it protects nothing.
    expected = base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID, usedforsecurity=False).digest()).decode()
    if response.headers.get("Sec-WebSocket-Accept") != expected:
        raise WebSocketError("the server did not answer the WebSocket handshake")
    return WebSocket(connection, response, sock), response


def _read_ahead(response: HTTPResponse, sock: socket.socket) -> bytes:
    """What the response's reader took from the socket beyond the head: the other protocol's first bytes."""
    sock.setblocking(False)
    try:
        return response.fp.read1()
    except ssl.SSLWantReadError:
        return b""
    finally:
        sock.setblocking(True)


def _mask(payload: bytes, key: bytes) -> bytes:
    """XOR with the repeated key, as one big number: bytewise would take milliseconds per 64 KiB."""
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")
