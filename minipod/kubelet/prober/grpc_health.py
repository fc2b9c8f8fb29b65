"""grpc: the standard health service, asked without a gRPC library.

The two messages are a string and an enum, packed here by hand; HTTP/2 itself is the h2 package, imported when the first
gRPC probe runs. https://github.com/grpc/grpc/blob/master/doc/health-checking.md, .../doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING
from urllib.parse import unquote

from minipod.api import core_v1
from minipod.kubelet.node_status import KUBERNETES_VERSION
from minipod.kubelet.prober.ports import PortError, resolve_port
from minipod.kubelet.prober.sockets import (
    ResolveError,
    dial,
    dial_error,
    joined,
    readable,
    resolve,
    writable,
)
from minipod.kubelet.prober.types import MAX_OUTPUT, HandlerResult, Outcome, Target, failure

if TYPE_CHECKING:
    import h2.connection
    import h2.events

PATH = "/grpc.health.v1.Health/Check"

MAX_RECEIVED = 16 * 1024
"""Bytes a peer may send in all; an answer has some hundred. Thousands of tiny frames would cost the daemon seconds."""
MAX_MESSAGE = 4 * 1024
READ_SIZE = 4 * 1024

_SETTINGS = 4
"""The type of the frame that a server has to send first (RFC 9113, 3.4)."""

_USER_AGENT = "kube-probe/" + ".".join(KUBERNETES_VERSION.removeprefix("v").split(".")[:2])

_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


class Code(IntEnum):
    """gRPC's status codes, by Go's names."""

    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class _RpcError(Exception):
    """The call has failed: a gRPC status code and what was said of it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


async def check_health(
    action: core_v1.GRPCAction,
    target: Target,
    *,
    timeout: float | None,  # noqa: ASYNC109 (running out of time is an answer)
) -> HandlerResult:
    """SUCCESS for SERVING. Never raises for anything the peer does."""
    if not target.pod_ip:
        return HandlerResult(Outcome.UNKNOWN, "the pod has no IP address")
    try:
        port = resolve_port(action.port, target.container)
    except PortError as error:
        return HandlerResult(Outcome.UNKNOWN, str(error))
    shown = joined(target.pod_ip, port)
    call = _Call(authority=shown, service=action.service or "")
    try:
        async with asyncio.timeout(timeout):
            sock = await dial(await resolve(target.pod_ip, port))
            try:
                await call.run(sock)
            finally:
                sock.close()
            return _judged(call.answer())
    except TimeoutError:
        return failure(_out_of_time(call, timeout or 0))
    except _RpcError as error:
        return failure(_said(error))
    except ResolveError as error:
        return failure(f'error: failed to connect service at "{shown}": {error}')
    except OSError as error:
        if call.sent:
            return failure(_said(_RpcError(Code.UNAVAILABLE, f"error reading from server: {_lower(error)}")))
        return failure(f'error: failed to connect service at "{shown}": {dial_error(shown, error)}')


def _judged(status: int) -> HandlerResult:
    name = _STATUSES[status] if status < len(_STATUSES) else str(status)
    if name == "SERVING":
        return HandlerResult(Outcome.SUCCESS, "service healthy")
    return failure(f'service unhealthy (responded with "{name}")')


def _said(error: _RpcError) -> str:
    if error.code == Code.UNIMPLEMENTED:
        return f"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {error}"
    code = error.code
    name = Code(code).name.title().replace("_", "") if code in set(Code) else f"Code({code})"
    return f"error: health rpc probe failed: rpc error: code = {name} desc = {error}"


def _out_of_time(call: _Call, timeout: float) -> str:
    if call.settled:
        return f"timeout: health rpc did not complete within {timeout:g}s"
    return f'timeout: failed to connect service "{call.authority}" within {timeout:g}s: context deadline exceeded'


def _lower(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


@dataclass(slots=True)
class _Call:
    """One unary call on a connection of its own."""

    authority: str
    service: str
    sent: bool = False
    settled: bool = False
    """The peer has shown that it speaks HTTP/2."""
    _headers: dict[str, str] = field(default_factory=dict)
    _data: bytearray = field(default_factory=bytearray)
    _received: int = 0
    _start: bytearray = field(default_factory=bytearray)

    async def run(self, sock: socket.socket) -> None:
        """Raises _RpcError, OSError."""
        import h2.config
        import h2.connection
        import h2.exceptions

        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        connection = h2.connection.H2Connection(config)
        self._ask(connection)
        try:
            while True:
                await _send(sock, connection.data_to_send())
                self.sent = True
                if self._take(connection.receive_data(await self._receive(sock)), connection):
                    return
        except h2.exceptions.H2Error as error:
            raise _RpcError(
                Code.UNAVAILABLE, f"connection error: {error or type(error).__name__}"
            ) from error
        except (UnicodeError, ValueError, LookupError) as error:  # what h2 lets through of damaged frames
            raise _RpcError(Code.INTERNAL, f"malformed answer: {type(error).__name__}") from error

    async def _receive(self, sock: socket.socket) -> bytes:
        """The next bytes, in bounds, the first ones those of a peer that speaks HTTP/2. Raises _RpcError, OSError."""
        await readable(sock)
        data = sock.recv(READ_SIZE)
        self._received += len(data)
        if not data or self._received > MAX_RECEIVED:
            where = "from server" if self.settled else "server preface"
            raise _RpcError(Code.UNAVAILABLE, f"error reading {where}: {'too much data' if data else 'EOF'}")
        self._start += data[: 4 - len(self._start)]
        if len(self._start) == 4 and self._start[3] != _SETTINGS:
            raise _RpcError(Code.UNAVAILABLE, "error reading server preface: this is not HTTP/2")
        return data

    def _ask(self, connection: h2.connection.H2Connection) -> None:
        connection.initiate_connection()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", PATH),
            (":authority", self.authority),
            ("content-type", "application/grpc"),
            ("user-agent", _USER_AGENT),
            ("te", "trailers"),
        ]
        connection.send_headers(1, headers)
        message = request_message(self.service)
        connection.send_data(1, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)

    def _take(self, events: list[h2.events.Event], connection: h2.connection.H2Connection) -> bool:
        """Whether the answer is complete."""
        import h2.events

        for event in events:
            self.settled = True
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                self._headers.update((str(k), str(v)) for k, v in event.headers or ())
            elif isinstance(event, h2.events.DataReceived):
                self._data += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, 1)
                if len(self._data) > MAX_MESSAGE:
                    raise _RpcError(
                        Code.RESOURCE_EXHAUSTED, f"received message larger than max ({MAX_MESSAGE} bytes)"
                    )
            elif isinstance(event, h2.events.StreamEnded):
                return True
            elif isinstance(event, h2.events.StreamReset):
                raise _RpcError(
                    Code.INTERNAL, f"stream terminated by RST_STREAM with error code {event.error_code}"
                )
            elif isinstance(event, h2.events.ConnectionTerminated):
                raise _RpcError(
                    Code.UNAVAILABLE, f"the server sent GOAWAY with error code {event.error_code}"
                )
        return False

    def answer(self) -> int:
        """The health status that was answered. Raises _RpcError."""
        status = self._headers.get("grpc-status", "")
        if not status.isdecimal():
            http = self._headers.get(":status", "")
            raise _RpcError(Code.UNKNOWN, f"unexpected HTTP status code received from server: {http[:16]}")
        if int(status[:4]):
            said = unquote(self._headers.get("grpc-message", ""))[:MAX_OUTPUT]
            raise _RpcError(int(status[:4]), said)
        return response_status(bytes(self._data))


async def _send(sock: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[sock.send(left, socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            await writable(sock)


def request_message(service: str) -> bytes:
    """grpc.health.v1.HealthCheckRequest: field 1, the service's name."""
    name = service.encode()
    return b"\x0a" + _varint(len(name)) + name if name else b""


def response_status(data: bytes) -> int:
    """Field 1 of a length-prefixed grpc.health.v1.HealthCheckResponse. Raises _RpcError."""
    if len(data) < 5 or data[0] or len(data) != 5 + int.from_bytes(data[1:5], "big"):
        raise _RpcError(Code.INTERNAL, "the answer is not one uncompressed message")
    message = data[5:]
    if not message:
        return 0
    value = shift = 0
    if message[0] == 0x08:
        for byte in message[1:11]:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
    raise _RpcError(Code.INTERNAL, "the answer is no HealthCheckResponse")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
