"""The command line's door to the API: plain, synchronous, quick to import, JSON in and out.

Objects are dicts here, because a command prints or forwards them and need not know their types. aiohttp and the
generated types stay out of this module's imports: they cost more time than a whole `minipod get`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote, urlencode

from minipod.client.unix_http import ByteStream, UnixServer, pieces

if TYPE_CHECKING:
    from minipod.api.errors import StatusError

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

Query = Mapping[str, str | int | bool | None]
"""Parameters; None leaves one out, a bool becomes "true" or "false"."""

_URL = "/?&=%:;,+@!$'()*#[]"
"""What a path may hold unescaped besides letters, digits and _.-~"""


class ApiUnreachableError(Exception):
    """No API server answers at the given place; the message says which, why and what to do."""


class Server(Protocol):
    """Where an API server is: UnixServer, TlsServer."""

    @property
    def address(self) -> str:
        """For messages."""

    def connection(self, timeout: float | None) -> HTTPConnection:
        """A new one, not opened yet."""

    def explain(self, error: Exception) -> str:
        """What a failure to talk means for the user; "" when nothing special."""


def resource_path(
    plural: str, namespace: str = "", name: str = "", subresource: str = "", *, api_version: str = "v1"
) -> str:
    """("pods", "default", "web", "log") -> "/api/v1/namespaces/default/pods/web/log"; every part is escaped.

    Without a namespace: of all namespaces, or of a resource that has none.
    """
    parts = ["apis" if "/" in api_version else "api", *api_version.split("/")]
    if namespace:
        parts += ["namespaces", namespace]
    parts += [plural, *([name] if name else []), *([subresource] if subresource else [])]
    return "/" + "/".join(quote(part, safe="") for part in parts)


class ApiClient:
    """Requests to one API server.

    Every method raises StatusError for an answer that is an error and ApiUnreachableError when there is no answer.
    Not for several threads at once, but any number of streams may be open beside plain requests.
    """

    def __init__(
        self,
        server: str | Server,
        *,
        timeout: float | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> None:
        """`server`: a str is a unix socket's path.

        `timeout` (seconds) bounds each wait for bytes of a plain request; `on_warning` gets each Warning text.
        """
        self.server: Server = UnixServer(server) if isinstance(server, str) else server
        self._timeout = timeout
        self._on_warning = on_warning
        self._connection = self.server.connection(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str, query: Query | None = None) -> Any:
        """One object, or a list as it comes ({"items": [...]})."""
        return self.request("GET", path, query=query)

    def table(self, path: str, query: Query | None = None) -> Any:
        """The same as a meta.k8s.io/v1 Table: columnDefinitions and rows, as `get` prints them."""
        return self.request("GET", path, query=query, accept=TABLE)

    def create(self, path: str, obj: Any, query: Query | None = None) -> Any:
        """POST `obj` to a collection or subresource; the object as stored."""
        return self.request("POST", path, query=query, body=obj)

    def replace(self, path: str, obj: Any, query: Query | None = None) -> Any:
        """PUT; 409 when obj's resourceVersion is not the newest."""
        return self.request("PUT", path, query=query, body=obj)

    def patch(
        self, path: str, patch: Any, query: Query | None = None, *, content_type: str = MERGE_PATCH
    ) -> Any:
        return self.request("PATCH", path, query=query, body=patch, content_type=content_type)

    def delete(self, path: str, options: Any = None, query: Query | None = None) -> Any:
        """`options`: a DeleteOptions dict, such as {"gracePeriodSeconds": 0}."""
        return self.request("DELETE", path, query=query, body=options)

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
        """The answer, decoded if it is JSON and as text if not. `body`: bytes go as they are, else made JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Accept": accept, **({"Content-Type": content_type} if data is not None else {})}
        target = _target(path, query)
        with self.conversation(self._connection):
            response = self._answer(method, target, headers, data)
            content = b"".join(pieces(response))
        self._check(response, content)
        is_json = JSON in response.headers.get("Content-Type", "")
        return json.loads(content) if is_json else content.decode(errors="replace")

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
        """The answer's bytes as they arrive (logs, image transfers); use as a context manager, iterate over it.

        `body` may be an iterable: it is sent piece by piece. No timeout applies.
        """
        connection = self.connect()
        headers = {"Accept": accept, **({"Content-Type": content_type} if body is not None else {})}
        sock = connection.sock
        with self.conversation(connection):
            sock.settimeout(None)
            try:
                connection.request(method, _target(path, query), body, headers)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the server has heard enough: its answer, which says why, may be there all the same
            response = connection.getresponse()
            self._check(response, b"".join(pieces(response)) if response.status >= 400 else b"")
        return ByteStream(connection, response, sock, self.unreachable)

    def watch(self, path: str, query: Query | None = None, *, accept: str = JSON) -> Iterator[Any]:
        """Watch events as dicts ({"type": "ADDED", "object": {...}}) until the server ends the watch.

        An event of type ERROR is raised as StatusError (410 Gone: list again and watch from there).
        """
        with self.stream("GET", path, query={**(query or {}), "watch": True}, accept=accept) as stream:
            for line in stream.lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _status_error(event["object"])
                yield event

    def connect(self) -> HTTPConnection:
        """A new connection, for what stays on it or upgrades it to another protocol."""
        connection = self.server.connection(self._timeout)
        with self.conversation(connection):
            connection.connect()
        return connection

    @contextmanager
    def conversation(self, connection: HTTPConnection) -> Iterator[None]:
        """Hang up if the block fails, for then nobody knows how far it came; failures to talk: ApiUnreachableError."""
        try:
            yield
        except (OSError, HTTPException) as error:
            connection.close()
            raise self.unreachable(error) from error
        except BaseException:
            connection.close()
            raise

    def _answer(
        self, method: str, target: str, headers: Mapping[str, str], data: bytes | None
    ) -> HTTPResponse:
        """Send and read the head. A kept connection may have been closed meanwhile: then, and only then, again."""
        kept, sent = self._connection.sock is not None, False
        try:
            self._connection.request(method, target, data, headers)
            sent = True
            return self._connection.getresponse()
        except ConnectionError:
            # Whoever hangs up on a whole request may have done what it asks.
            if not kept or (sent and method != "GET"):
                raise
        self._connection.close()
        self._connection.request(method, target, data, headers)
        return self._connection.getresponse()

    def _check(self, response: HTTPResponse, content: bytes) -> None:
        if self._on_warning:
            for value in response.headers.get_all("Warning") or ():
                self._on_warning(_warning_text(value))
        if response.status >= 400:
            raise error_of(response, content)

    def unreachable(self, error: OSError | HTTPException) -> ApiUnreachableError:
        """What a failed connection means, in words for the user."""
        place = self.server.address
        if explained := self.server.explain(error):
            return ApiUnreachableError(explained)
        if isinstance(error, TimeoutError):
            return ApiUnreachableError(
                f"the daemon at {place} did not answer within {self._timeout:g} seconds"
            )
        return ApiUnreachableError(f"the connection to the daemon at {place} broke: {_why(error)}")


def error_of(response: HTTPResponse, content: bytes) -> StatusError:
    """The error an answer carries: a Status, or whatever text there is."""
    try:
        status = json.loads(content)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return _status_error({"code": response.status, **status})
    text = content.decode(errors="replace").strip() or response.reason
    return _status_error({"code": response.status, "reason": "Unknown", "message": text})


def _status_error(status: Mapping[str, Any]) -> StatusError:
    # Only an error pays for these imports: they take longer than a whole request.
    from msgspec import convert

    from minipod.api.errors import StatusError
    from minipod.api.meta_v1 import Status

    return StatusError.from_status(convert(status, Status))


def _why(error: OSError | HTTPException) -> str:
    match error:
        case IncompleteRead():
            return "the answer is incomplete"
        case OSError():
            return error.strerror or str(error)
        case _:
            return repr(error)


def _target(path: str, query: Query | None) -> str:
    path = quote(path, safe=_URL)
    pairs = {key: _text(value) for key, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _warning_text(value: str) -> str:
    """'299 - "some \\"text\\""' -> 'some "text"' (RFC 9111 5.5), which is UTF-8 that http.client took for Latin-1."""
    quoted = value.encode("latin-1").decode(errors="replace").split(" ", 2)[-1]
    return quoted.removeprefix('"').removesuffix('"').replace('\\"', '"').replace("\\\\", "\\")
