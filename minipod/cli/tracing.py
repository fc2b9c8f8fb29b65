"""The API client of `-v`: it tells on standard error what is asked and how long the answer took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from minipod.client.http import JSON, ApiClient, Query, Server
from minipod.client.unix_http import ByteStream


class TracingClient(ApiClient):
    def __init__(
        self, server: str | Server, *, timeout: float | None, on_warning: Callable[[str], None], bodies: bool
    ) -> None:
        super().__init__(server, timeout=timeout, on_warning=on_warning)
        self._bodies = bodies

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Any:
        begin = time.monotonic()
        outcome = "failed"
        if self._bodies and body is not None:
            _trace(f"request body: {_text(body)}")
        try:
            answer = super().request(
                method, path, query=query, body=body, content_type=content_type, accept=accept
            )
            outcome = "answered"
        finally:
            _trace(
                f"{method} {path} {dict(query or {})} {outcome} in {(time.monotonic() - begin) * 1000:.1f} ms"
            )
        if self._bodies:
            _trace(f"response body: {_text(answer)}")
        return answer

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | Iterable[bytes] | None = None,
        content_type: str = "application/octet-stream",
        accept: str = "*/*",
    ) -> ByteStream:
        _trace(f"{method} {path} {dict(query or {})} streaming")
        return super().stream(method, path, query=query, body=body, content_type=content_type, accept=accept)


def _text(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else json.dumps(value)


def _trace(text: str) -> None:
    print(text, file=sys.stderr)
