"""The standard library's HTTP/1.1 over TLS, to a server as a kubeconfig describes it."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, RemoteDisconnected
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class TlsServer:
    """`name` is what the certificate must say, `headers` go with each request (a bearer token)."""

    host: str
    port: int
    name: str
    context: ssl.SSLContext
    path: str = ""
    """Before the path of every request, without a slash at its end."""
    headers: Mapping[str, str] | None = None

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}{self.path}"

    def connection(self, timeout: float | None) -> HTTPConnection:
        return TlsConnection(self, timeout)

    def explain(self, error: Exception) -> str:
        """What a failure means for the user; "" when nothing special."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the certificate of {self.address} is not trusted: {error.verify_message}"
        refused = isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
        if refused or isinstance(error, RemoteDisconnected):
            # With TLS 1.3 a client learns only after the handshake that its certificate was not taken.
            return f"{self.address} hung up; has the kubeconfig's client certificate ended, or another authority?"
        if isinstance(error, ConnectionRefusedError | socket.gaierror):
            return f"no API server answers at {self.address}: {error.strerror}"
        return ""


class TlsConnection(HTTPConnection):
    """Opened by the first request, and anew by the first after a close()."""

    def __init__(self, server: TlsServer, timeout: float | None) -> None:
        super().__init__(server.host, server.port, timeout=timeout)
        self._server = server

    def connect(self) -> None:
        plain = socket.create_connection((self._server.host, self._server.port), self.timeout)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = self._server.context.wrap_socket(plain, server_hostname=self._server.name)
        except BaseException:
            plain.close()
            raise

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, Any] = MappingProxyType({}),
        *,
        encode_chunked: bool = False,
    ) -> None:
        own = {**(self._server.headers or {}), **headers}
        super().request(method, self._server.path + url, body, own, encode_chunked=encode_chunked)


class SharedTlsSocket:
    """A TLS socket that one thread reads while another writes: OpenSSL itself allows one call at a time only."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._lock = threading.Lock()

    def recv(self, size: int) -> bytes:
        """Blocks until there is something; b"" at the end."""
        while True:
            with self._lock:
                try:
                    return self._sock.recv(size)
                except ssl.SSLWantReadError:
                    wanted = select.POLLIN
                except ssl.SSLWantWriteError:
                    wanted = select.POLLOUT
            self._wait(wanted)

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            with self._lock:
                try:
                    rest = rest[self._sock.send(rest) :]
                    continue
                except ssl.SSLWantWriteError:
                    wanted = select.POLLOUT
                except ssl.SSLWantReadError:
                    wanted = select.POLLIN
            self._wait(wanted)

    def _wait(self, wanted: int) -> None:
        poll = select.poll()
        poll.register(self._sock, wanted)
        poll.poll()
