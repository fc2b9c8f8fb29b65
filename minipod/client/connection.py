"""HTTP/1.1 over one stream socket, as little of it as a Kubernetes API client needs (RFC 9112).

http.client would do, but it imports the email package and ssl: 25 ms that every `minipod get` would pay.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_CHUNK = 1 << 16
_MAX_HEAD = 1 << 16
"""Bytes of status line and headers that are believed; more is not an API server."""


class ProtocolError(OSError):
    """The other end does not speak HTTP/1.1 as expected, or hung up in the middle of an answer."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers of an answer; header names in lower case, repeated ones kept."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.headers if key == name), default)

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


class Connection:
    """One connection: send a request, read the head, read the body, and again if `reusable`.

    Raises ProtocolError and any OSError of the socket.
    """

    def __init__(self, sock: socket.socket, host: str = "localhost") -> None:
        self.socket = sock
        self.reusable = False
        self._host = host
        self._buffer = b""

    def close(self) -> None:
        self.socket.close()

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None = None,
    ) -> None:
        """Send a whole request. An iterable body goes out in chunks as they come."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        if body is None or isinstance(body, bytes):
            self.socket.sendall(head + (body or b""))
            return
        self.socket.sendall(head)
        try:
            for chunk in body:
                if chunk:
                    self.socket.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.socket.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server has heard enough: its answer, which says why, may be there all the same

    def read_head(self) -> Head:
        """The answer's head; informational answers (100 Continue) are skipped, 101 is not."""
        while True:
            head = _parse_head(self._read_until(b"\r\n\r\n"))
            if head.status >= 200 or head.status == 101:
                return head

    def read_body(self, head: Head) -> Iterator[bytes]:
        """The body in pieces as they arrive. Read to its end, the connection may be `reusable`."""
        self.reusable = False
        if head.status in (204, 304):
            pass
        elif "chunked" in head.get("transfer-encoding"):
            yield from self._read_chunks()
        elif length := head.get("content-length"):
            yield from self._read_exactly(int(length))
        else:
            yield from self._read_to_end()
            return
        self.reusable = head.get("connection").lower() != "close"

    def take_buffer(self) -> bytes:
        """What was read beyond the head: the first bytes of another protocol after 101 Switching Protocols."""
        buffer, self._buffer = self._buffer, b""
        return buffer

    def _read_chunks(self) -> Iterator[bytes]:
        while True:
            line = self._read_until(b"\r\n")
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                raise ProtocolError(f"bad chunk size {line[:40]!r}") from None
            yield from self._read_exactly(size)
            self._read_until(b"\r\n")
            if size == 0:
                return

    def _read_exactly(self, size: int) -> Iterator[bytes]:
        while size:
            data = self._take(size) or self._receive()
            if len(data) > size:
                self._buffer, data = data[size:] + self._buffer, data[:size]
            size -= len(data)
            yield data

    def _read_to_end(self) -> Iterator[bytes]:
        if self._buffer:
            yield self.take_buffer()
        while data := self.socket.recv(_CHUNK):
            yield data

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            if len(self._buffer) > _MAX_HEAD:
                raise ProtocolError("the answer's head has no end")
            self._buffer += self._receive()
        found, self._buffer = self._buffer.split(mark, 1)
        return found

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _receive(self) -> bytes:
        try:
            data = self.socket.recv(_CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            raise ProtocolError("the server closed the connection")
        return data


def _parse_head(raw: bytes) -> Head:
    status_line, *lines = raw.decode("utf-8", "replace").split("\r\n")
    version, _, rest = status_line.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdigit():
        raise ProtocolError(f"not an HTTP answer: {status_line[:80]!r}")
    pairs = (line.partition(":") for line in lines)
    return Head(int(code), reason, tuple((name.strip().lower(), value.strip()) for name, _, value in pairs))
