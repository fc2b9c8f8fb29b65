"""Patches on plain values: JSON merge patch (RFC 7396), JSON patch (RFC 6902), strategic merge patch (strategic.py)."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from minipod.api import codec, errors
from minipod.api.errors import StatusError
from minipod.apiserver.http import strategic

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = ("application/apply-patch+yaml", "application/apply-patch+cbor")
MAX_OPERATIONS = 10_000
"""As kube-apiserver: more in one JSON patch is refused."""
MAX_COPIED = 1024 * 1024
_MAX_DEPTH = 200

Patch = Callable[[Any], Any]
"""From the object's plain values to the patched ones; the former are not changed."""


def parse(content_type: str, data: bytes, type_: type[Any]) -> Patch:
    """A patch of an object of `type_`. Raises StatusError 400 for what is no patch, 415 for a kind there is not."""
    if content_type in (MERGE, STRATEGIC):
        patch = codec.parse(data)
        if not isinstance(patch, dict):
            raise errors.bad_request("a merge patch must be an object")
        if content_type == STRATEGIC:
            return lambda value: strategic.merge(type_, value, patch)
        return lambda value: merge(value, patch)
    if content_type == JSON_PATCH:
        operations = codec.parse(data)
        if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
            raise errors.bad_request("a JSON patch must be a list of operations")
        if len(operations) > MAX_OPERATIONS:
            raise errors.too_large(
                f"a JSON patch may have {MAX_OPERATIONS} operations, not {len(operations)}"
            )
        return lambda value: apply_operations(value, operations)
    error = errors.unsupported_media_type((MERGE, JSON_PATCH, STRATEGIC))
    if content_type in APPLY:
        error.message += f" ({content_type} is not supported by this version of minipod)"
    raise error


def merge(target: Any, patch: Any, depth: int = 0) -> Any:
    """RFC 7396: null removes, an object is merged, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    if depth > _MAX_DEPTH:
        raise errors.bad_request(f"a merge patch may be nested {_MAX_DEPTH} levels deep")
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value, depth + 1)
    return merged


def apply_operations(document: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902: all operations in order, or none.

    Raises StatusError 422 for an operation that cannot be done here, 400 for a bad one, 413 when they copy too much.
    """
    document = deepcopy(document)
    copied = 0
    for operation in operations:
        if operation.get("op") == "copy":
            # Each copy may double the document, so a few dozen could fill the memory.
            copied += len(codec.encode(_get(document, _pointer(operation, "from"))))
            if copied > MAX_COPIED:
                raise errors.too_large(f"the copies of a JSON patch may come to {MAX_COPIED} bytes")
        document = _apply(document, operation)
    return document


def _apply(document: Any, operation: dict[str, Any]) -> Any:
    verb, path = operation.get("op"), _pointer(operation, "path")
    match verb:
        case "add":
            return _add(document, path, _value(operation))
        case "remove":
            return _remove(document, path)
        case "replace":
            _get(document, path)
            return _add(_remove(document, path), path, _value(operation)) if path else _value(operation)
        case "move":
            source = _pointer(operation, "from")
            if path[: len(source)] == source and path != source:
                raise errors.bad_request("a JSON patch cannot move a value into itself")
            value = _get(document, source)
            return _add(_remove(document, source), path, value)
        case "copy":
            return _add(document, path, deepcopy(_get(document, _pointer(operation, "from"))))
        case "test":
            if not _equal(_get(document, path), _value(operation)):
                raise _impossible(f"testing value {operation['path']} failed")
            return document
    raise errors.bad_request(f"unknown JSON patch operation {verb!r}")


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        raise _impossible(f"{_text(path[:-1])} is neither an object nor a list")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    _get(document, path)
    parent, last = _get(document, path[:-1]), path[-1]
    del parent[last if isinstance(parent, dict) else _index(last, len(parent) - 1)]
    return document


def _get(document: Any, path: list[str]) -> Any:
    value = document
    for depth, step in enumerate(path):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list):
            value = value[_index(step, len(value) - 1)]
        else:
            raise _impossible(f"{_text(path[: depth + 1])} does not exist")
    return value


def _index(step: str, highest: int) -> int:
    if not (step.isascii() and step.isdigit()) or (len(step) > 1 and step[0] == "0"):
        raise _impossible(f"{step!r} is no index of a list")
    if len(step) > 9 or int(step) > highest:
        raise _impossible(f"the list has no index {step}")
    return int(step)


def _pointer(operation: dict[str, Any], field: str) -> list[str]:
    """RFC 6901: "/a~1b/0" -> ["a/b", "0"]."""
    text = operation.get(field)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise errors.bad_request(f"a JSON patch operation needs a {field} that begins with /, not {text!r}")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise errors.bad_request(f"a JSON patch operation {operation.get('op')!r} needs a value")
    return operation["value"]


def _equal(left: Any, right: Any) -> bool:
    """As JSON: true is not 1, though Python says so."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


def _impossible(why: str) -> StatusError:
    return StatusError(
        422, "Invalid", f"the server rejected our request due to an error in our request: {why}"
    )


def _text(path: list[str]) -> str:
    return "/" + "/".join(path)
