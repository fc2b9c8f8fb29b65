"""GET pods/NAME/log: what a container has written, and goes on writing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from minipod.api import errors, timestamps
from minipod.api.field_errors import FieldError, forbidden, invalid
from minipod.apiserver.http import containers, responses
from minipod.apiserver.http.call import Call
from minipod.apiserver.http.request_info import RequestInfo
from minipod.client.node import LogRequest

TEXT = "text/plain"


async def log(call: Call) -> web.StreamResponse:
    """Each piece is sent at once. Raises StatusError only before the first one."""
    found = containers.find(call)
    request = log_request(call.info, found.container)
    if not found.node:
        return await responses.send(call.request, b"", content_type=TEXT)
    pieces = await call.node(found.node).logs(request)
    try:
        return await _send(call, pieces)
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


def log_request(info: RequestInfo, container: str) -> LogRequest:
    """The query's options. Raises StatusError 400 and 422."""
    problems = _problems(info)
    if problems:
        raise errors.invalid("PodLogOptions", info.name, problems)
    if info.one("stream") not in ("", "All"):
        raise errors.bad_request("stream: only All is supported, a container's two streams come as one")
    return LogRequest(
        namespace=info.namespace,
        pod=info.name,
        container=container,
        follow=info.flag("follow"),
        previous=info.flag("previous"),
        timestamps=info.flag("timestamps"),
        tail_lines=info.number("tailLines"),
        since_seconds=info.number("sinceSeconds"),
        since_time=info.one("sinceTime"),
        limit_bytes=info.number("limitBytes"),
    )


def _problems(info: RequestInfo) -> list[FieldError]:
    found = []
    for name, least, words in (
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
    ):
        number = info.number(name)
        if number is not None and number < least:
            found.append(invalid(name, number, words))
    since_time = info.one("sinceTime")
    if since_time and info.one("sinceSeconds"):
        found.append(forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    if since_time:
        try:
            timestamps.to_epoch_us(since_time)
        except ValueError as error:
            found.append(invalid("sinceTime", since_time, str(error)))
    return found


async def _send(call: Call, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers=responses.headers(call.warnings, TEXT))
    await response.prepare(call.request)
    try:
        async for piece in pieces:
            if piece:
                await response.write(piece)
    except asyncio.CancelledError:
        if not call.is_closing():
            raise
    return response
