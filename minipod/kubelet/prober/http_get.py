"""httpGet: a GET to the pod, redirects and verdict as the kubelet has them.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#http-probes
A hook asks less than a probe: whatever is answered, it was delivered (as in the kubelet, which looks at errors only).
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

from minipod.api import core_v1
from minipod.kubelet.prober.http_exchange import exchange, tls_exchange
from minipod.kubelet.prober.http_reply import HttpReply, MalformedReplyError
from minipod.kubelet.prober.http_request import (
    HttpUrl,
    InvalidRequestError,
    first_request,
    first_url,
    http_url,
    request_bytes,
)
from minipod.kubelet.prober.ports import PortError, resolve_port
from minipod.kubelet.prober.sockets import ResolveError, dial_error, joined, resolve
from minipod.kubelet.prober.types import HandlerResult, Outcome, Target, failure

MAX_REQUESTS = 10
"""The first one and the redirects it leads to."""

MAX_LOCATION = 4096
"""Bytes of an address that a peer sends us to; working on one costs memory many times its size."""

_REDIRECTS = frozenset((301, 302, 303, 307, 308))

_PLAIN_ANSWERS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""How OpenSSL names it when what should be TLS is not."""


class Purpose(StrEnum):
    """Who asks, as the User-Agent says it."""

    PROBE = "probe"
    LIFECYCLE = "lifecycle"


class _FailedError(Exception):
    """The exchange came to nothing; says why."""


class _BodyError(_FailedError):
    """There was an answer, but its body did not come to an end."""


class _PlainAnswerError(_FailedError):
    """A peer that was asked over TLS and answered without."""


async def get(
    action: core_v1.HTTPGetAction,
    target: Target,
    purpose: Purpose,
    *,
    timeout: float | None,  # noqa: ASYNC109 (running out of time is an answer)
) -> HandlerResult:
    """Never raises for anything the peer does."""
    host = action.host or target.pod_ip
    if not host:
        return HandlerResult(Outcome.UNKNOWN, "the pod has no IP address")
    try:
        port = resolve_port(action.port, target.container)
        url = first_url(action.scheme or "HTTP", host, port, action.path or "")
    except (PortError, InvalidRequestError) as error:
        return HandlerResult(Outcome.UNKNOWN, str(error))
    asked = _Asked(url, tuple((h.name, h.value) for h in action.httpHeaders), purpose)
    try:
        async with asyncio.timeout(timeout):
            return await _ask(asked)
    except TimeoutError:
        if asked.reply.status:
            why = "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
            return _without_body(asked, why)
        why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return failure(f'Get "{asked.url}": {why}')
    except _BodyError as error:
        return _without_body(asked, str(error))
    except _FailedError as error:
        return failure(f'Get "{asked.url}": {error}')


@dataclass(slots=True)
class _Asked:
    """The request under way: `url` and `reply` move on with redirects."""

    url: HttpUrl
    headers: tuple[tuple[str, str], ...]
    purpose: Purpose
    redirected: bool = False
    reply: HttpReply = field(default_factory=HttpReply)


def _without_body(asked: _Asked, why: str) -> HandlerResult:
    """As in the kubelet a probe is none then: it neither fails nor succeeds. A hook has been delivered."""
    if asked.purpose is Purpose.LIFECYCLE:
        return HandlerResult(Outcome.SUCCESS, f"HTTP status {asked.reply.status}")
    return HandlerResult(Outcome.UNKNOWN, f'Get "{asked.url}": {why}')


async def _ask(asked: _Asked) -> HandlerResult:
    if asked.purpose is Purpose.PROBE:
        return judged(await _follow(asked))
    try:
        reply = await _follow(asked)
    except _PlainAnswerError:
        asked.url = asked.url._replace(scheme="http")
        asked.headers = tuple(h for h in asked.headers if h[0].lower() != "authorization")
        await _follow(asked)
        said = (
            f"request to HTTPS lifecycle hook {asked.url.host} got HTTP response, retry with HTTP succeeded"
        )
        return HandlerResult(Outcome.WARNING, said)
    return HandlerResult(Outcome.SUCCESS, f"HTTP status {reply.status}")


def judged(reply: HttpReply) -> HandlerResult:
    """The verdict on a probe's last answer. A failure does not show the body: it may hold what is not for events."""
    if 200 <= reply.status < 300:
        return HandlerResult(Outcome.SUCCESS, reply.body)
    if 300 <= reply.status < 400:
        return HandlerResult(Outcome.WARNING, f"Probe terminated redirects, Response body: {reply.body}")
    return failure(f"HTTP probe failed with statuscode: {reply.status}")


async def _follow(asked: _Asked) -> HttpReply:
    """The first answer that is no redirect to the same host. Raises _FailedError."""
    first = asked.url.host
    for _ in range(MAX_REQUESTS):
        reply = await _once(asked)
        if reply.status not in _REDIRECTS or not reply.location:
            return reply
        following = _redirected(asked.url, reply.location)
        if following is None or following.host != first:
            return reply
        if urlsplit(reply.location).netloc:
            asked.headers = tuple(h for h in asked.headers if h[0].lower() != "host")
        asked.url, asked.redirected = following, True
    raise _FailedError(f"stopped after {MAX_REQUESTS} redirects")


def _redirected(url: HttpUrl, location: str) -> HttpUrl | None:
    """Where a Location leads; None for what is not on the web."""
    try:
        if len(location) > MAX_LOCATION:
            raise ValueError(f"longer than {MAX_LOCATION} bytes")
        parts = urlsplit(urljoin(str(url), location))
        port = parts.port
    except ValueError as error:
        raise _FailedError(f"failed to parse Location header {location[:256]!a}") from error
    if parts.scheme not in ("http", "https"):
        return None
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return http_url(parts.scheme, parts.hostname or "", port or _default_port(parts.scheme), target)


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


async def _once(asked: _Asked) -> HttpReply:
    reply = asked.reply = HttpReply()
    try:
        await _exchange(asked, reply)
    except _PlainAnswerError:
        raise
    except _FailedError as error:
        if reply.status:
            raise _BodyError(str(error)) from error
        raise
    return reply


async def _exchange(asked: _Asked, reply: HttpReply) -> None:
    url, make = asked.url, request_bytes if asked.redirected else first_request
    try:
        request = make(url, asked.headers, asked.purpose)
        address = await resolve(url.host, url.port)
        if url.scheme == "https":
            await tls_exchange(address, request, reply, url.host)
        else:
            await exchange(address, request, reply)
    except ResolveError as error:
        raise _FailedError(f"dial tcp: {error}") from error
    except (MalformedReplyError, InvalidRequestError) as error:
        raise _FailedError(str(error)) from error
    except ssl.SSLError as error:
        if error.reason in _PLAIN_ANSWERS:
            raise _PlainAnswerError("http: server gave HTTP response to HTTPS client") from error
        raise _FailedError(f"tls: {(error.reason or str(error)).lower().replace('_', ' ')}") from error
    except OSError as error:
        raise _FailedError(_said(joined(url.host, url.port), error)) from error


def _said(shown: str, error: OSError) -> str:
    if error.errno in (errno.ECONNRESET, errno.EPIPE):
        return f"read tcp {shown}: read: {(error.strerror or '').lower()}"
    if error.errno is None:
        return "EOF"
    return dial_error(shown, error)
