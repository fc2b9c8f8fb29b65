"""The standard library's HTTP/1.1 over a unix socket, and bodies that are read while they still come."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from types import TracebackType
from typing import Self

_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class UnixServer:
    """The API's socket on this machine."""

    address: str
    """The socket's path."""

    def connection(self, timeout: float | None) -> HTTPConnection:
        return UnixConnection(self.address, timeout)

    def explain(self, error: Exception) -> str:
        """What a failure means for the user; "" when nothing special."""
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            return f"no daemon answers at {self.address}: {error.strerror} (start it: minipod daemon)"
        if isinstance(error, PermissionError):
            return f"cannot use {self.address}: {error.strerror} (the API socket is root's: use sudo)"
        return ""


class UnixConnection(HTTPConnection):
    """HTTP over the stream socket at `path`; opened by the first request, and anew by the first after a close()."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self.timeout)
        try:
            sock.connect(self._path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class ByteStream:
    """An answer that is still coming. Leaving the context, or close(), hangs up."""

    def __init__(
        self,
        connection: HTTPConnection,
        response: HTTPResponse,
        sock: socket.socket,
        failure: Callable[[OSError | HTTPException], Exception],
    ) -> None:
        """`sock` is the connection's; `failure` puts into words why nothing more comes."""
        self._connection = connection
        self._response = response
        self._socket = sock
        self._failure = failure
        self._body = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return self._body

    def lines(self) -> Iterator[bytes]:
        """Complete lines, without their newline."""
        pending = b""
        for chunk in self._body:
            *lines, pending = (pending + chunk).split(b"\n")
            yield from lines
        if pending:
            yield pending

    def settimeout(self, seconds: float | None) -> None:
        """Bound each wait for more bytes from now on; when one is over, reading raises TimeoutError, then and ever."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        self._response.close()
        self._connection.close()

    def _read(self) -> Iterator[bytes]:
        try:
            yield from pieces(self._response)
        except TimeoutError:
            raise
        except (OSError, HTTPException) as error:
            raise self._failure(error) from error


def pieces(response: HTTPResponse) -> Iterator[bytes]:
    """A body as it comes: no byte waits for a later one unless its length was told beforehand.

    Raises OSError, HTTPException; a body that is cut short does not just end.
    """
    # read1() hands out what is there, but loses count of a Content-Length before Python 3.12.
    read = response.read1 if response.length is None else response.read
    while piece := read(_PIECE):
        yield piece
    if response.length:
        raise IncompleteRead(b"", response.length)
