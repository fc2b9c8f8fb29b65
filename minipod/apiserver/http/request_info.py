"""What a request is about, read off its method and path: the verb, the resource, the object.

The rules are those of k8s.io/apiserver's RequestInfoFactory, so that authorization can speak of verbs and resources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qs, unquote

from minipod.api import errors

Query: TypeAlias = Mapping[str, Sequence[str]]

_COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_OBJECT_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = ("status", "finalize")
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("", "0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInfo:
    """Of /api/v1/namespaces/default/pods/web/log: everything but `rest`, which is what follows a subresource."""

    method: str
    path: str
    query: Query
    verb: str = ""
    """"" for a path that is no resource's."""
    group: str = ""
    version: str = ""
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    @property
    def is_resource(self) -> bool:
        return bool(self.plural)

    def one(self, name: str, default: str = "") -> str:
        """A query parameter's first value."""
        values = self.query.get(name)
        return values[0] if values else default

    def flag(self, name: str) -> bool:
        """Raises StatusError 400 for what is neither true nor false."""
        text = self.one(name)
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise errors.bad_request(f'query parameter {name}: expected true or false, got "{text}"')

    def number(self, name: str) -> int | None:
        """Raises StatusError 400 for what is no 64-bit integer."""
        text = self.one(name)
        if not text:
            return None
        try:
            number = int(text)
        except ValueError:
            number = 1 << 63
        if not -(1 << 63) <= number < 1 << 63 or not text.isascii():
            raise errors.bad_request(f'query parameter {name}: expected an integer, got "{text}"')
        return number


def parse(method: str, target: str) -> RequestInfo:
    """A request line's method and target (path and query, as sent). Raises StatusError 400 for a bad query."""
    raw_path, _, raw_query = target.partition("?")
    try:
        query = parse_qs(raw_query, keep_blank_values=True, errors="strict") if raw_query else {}
        parts = [unquote(part, errors="strict") for part in raw_path.split("/") if part]
    except (UnicodeDecodeError, ValueError) as error:
        raise errors.bad_request(f"cannot read the request's URL: {error}") from None
    path = unquote(raw_path)
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(method=method, path=path, query=query)
    namespace, (plural, name, subresource, *more) = _split(rest)
    verbs = _OBJECT_VERBS if name else _COLLECTION_VERBS
    verb = verbs.get("GET" if method == "HEAD" else method, method.lower())
    if verb == "list" and query.get("watch", [""])[0] in _TRUE:
        verb = "watch"
    return RequestInfo(
        method=method,
        path=path,
        query=query,
        verb=verb,
        group=group,
        version=version,
        namespace=namespace,
        plural=plural,
        name=name,
        subresource=subresource,
        rest="/".join(more),
    )


def _split(parts: list[str]) -> tuple[str, list[str]]:
    """What follows the version -> the namespace, and resource, name, subresource and what is below it."""
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
        namespace, parts = parts[1], parts[2:]
    return namespace, parts + [""] * (3 - len(parts))
