"""Answers: JSON bytes with Kubernetes' headers, compressed when it is worth it, errors as Status objects."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from minipod.api import codec
from minipod.api.errors import StatusError
from minipod.api.meta_v1 import Status, StatusDetails
from minipod.api.scheme import Resource
from minipod.apiserver.http.negotiation import JSON, accepts_gzip
from minipod.storage.interface import Stored

COMPRESS_FROM = 128 * 1024
"""Bytes, as kube-apiserver: below it compressing costs more than sending."""
MAX_WARNINGS = 64
MAX_WARNING = 1024
"""Warning headers, and characters of one: Python's http.client reads no answer with 100 headers or one of 64 KiB."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def headers(warnings: Sequence[str] = (), content_type: str = JSON) -> CIMultiDict[str]:
    found = CIMultiDict({"Content-Type": content_type, "Cache-Control": "no-cache, private"})
    said = warnings if len(warnings) <= MAX_WARNINGS else warnings[: MAX_WARNINGS - 1]
    for warning in said:
        found.add("Warning", f"299 - {_quoted(warning[:MAX_WARNING])}")
    if left := len(warnings) - len(said):
        found.add("Warning", f"299 - {_quoted(f'{left} more warnings')}")
    return found


async def send(
    request: web.BaseRequest,
    body: bytes,
    *,
    status: int = 200,
    warnings: Sequence[str] = (),
    content_type: str = JSON,
) -> web.Response:
    """A whole answer. Large ones are compressed, off the event loop, for clients that say they can read it."""
    found = headers(warnings, content_type)
    if len(body) >= COMPRESS_FROM and accepts_gzip(request.headers.get("Accept-Encoding", "")):
        body = await asyncio.to_thread(gzip.compress, body, 1)
        found["Content-Encoding"] = "gzip"
        found["Vary"] = "Accept-Encoding"
    return web.Response(body=body, status=status, headers=found)


async def send_object(
    request: web.BaseRequest, obj: Any, *, status: int = 200, warnings: Sequence[str] = ()
) -> web.Response:
    return await send(request, codec.encode(obj), status=status, warnings=warnings)


def failure(error: StatusError, warnings: Sequence[str] = ()) -> web.Response:
    """An error as the answer's body."""
    found = headers(warnings)
    details = error.details
    if details and details.retryAfterSeconds:
        found["Retry-After"] = str(details.retryAfterSeconds)
    if error.code == 401:
        found["WWW-Authenticate"] = 'Bearer realm="minipod"'
    return web.Response(body=codec.encode(error.to_status()), status=error.code, headers=found)


def deleted(resource: Resource, stored: Stored) -> Status:
    """What is answered about an object that is gone."""
    meta = stored.obj.metadata
    details = StatusDetails(name=meta.name, group=resource.group or None, kind=resource.plural, uid=meta.uid)
    return Status(status="Success", details=details)


def list_body(resource: Resource, items: Sequence[Stored], metadata: bytes) -> bytes:
    """A list, put together from its items' encoded bytes."""
    head = b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
        resource.list_kind.encode(),
        resource.api_version.encode(),
        metadata,
    )
    return head + b",".join([stored.encoded for stored in items]) + b"]}"


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110 5.6.4): what a user sent may not begin a header of its own."""
    plain = _CONTROL.sub(" ", text).encode("utf-8", "replace").decode()
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
