"""The URL and the bytes of a handler's GET, as the kubelet makes them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from minipod.kubelet.node_status import KUBERNETES_VERSION
from minipod.kubelet.prober.sockets import joined

_MAJOR_MINOR = ".".join(KUBERNETES_VERSION.removeprefix("v").split(".")[:2])

_OWN_HEADERS = frozenset(
    ("Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer", "Connection")
)
"""Written by the client itself, whatever the handler says of them (Host and User-Agent excepted)."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_PATH_SAFE = "/%:@!$&'()*+,;=~-._"
_QUERY_SAFE = _PATH_SAFE + '?[]{}|\\^`"<>'


class InvalidRequestError(Exception):
    """The handler asks for something that is no HTTP request."""


class HttpUrl(NamedTuple):
    """`scheme` is http or https, `target` the path and query, quoted; `host` without brackets."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}://{joined(self.host, self.port)}{self.target}"


def http_url(scheme: str, host: str, port: int, path: str) -> HttpUrl:
    """The URL of a `path`, which may have a query. Raises InvalidRequestError for an unknown scheme."""
    if scheme.lower() not in ("http", "https"):
        raise InvalidRequestError(f'unsupported protocol scheme "{scheme.lower()}"')
    try:
        parts = urlsplit(path)
        target = quote(parts.path, safe=_PATH_SAFE)
        if parts.query:
            target += "?" + quote(parts.query, safe=_QUERY_SAFE)
    except ValueError:
        target = quote(path, safe=_PATH_SAFE)
    if target and not target.startswith(("/", "?")):
        target = f"/{target}"
    return HttpUrl(scheme.lower(), host, port, target)


def request_bytes(url: HttpUrl, headers: tuple[tuple[str, str], ...], purpose: str) -> bytes:
    """`headers` win over the defaults; an empty Accept or User-Agent is left out. Raises InvalidRequestError."""
    given: dict[str, list[str]] = {}
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise InvalidRequestError(f'net/http: invalid header field name "{name}"')
        if _FORBIDDEN.search(value):
            raise InvalidRequestError(f'net/http: invalid header field value for "{name}"')
        given.setdefault(_canonical(name), []).append(value.strip())
    given.setdefault("User-Agent", [f"kube-{purpose}/{_MAJOR_MINOR}"])
    accept = given.setdefault("Accept", ["*/*"])
    if not accept[0]:
        del given["Accept"]
    host = given.get("Host", [""])[0] or _authority(url)
    agent = given["User-Agent"][0]
    target = url.target if url.target.startswith("/") else f"/{url.target}"
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}"]
    if agent:
        lines.append(f"User-Agent: {agent}")
    lines += [f"{n}: {v}" for n in sorted(given) if n not in _OWN_HEADERS for v in given[n]]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode(errors="replace")


first_url = lru_cache(maxsize=1024)(http_url)
first_request = lru_cache(maxsize=1024)(request_bytes)
"""The same for what handlers themselves ask for, again and again. Never for redirects: a peer makes those up."""


def _authority(url: HttpUrl) -> str:
    return joined(url.host, url.port)


def _canonical(name: str) -> str:
    """As Go spells header names: each word capitalised."""
    return "-".join(word[:1].upper() + word[1:].lower() for word in name.split("-"))
