"""Strategic merge patches: merge patches that know of some lists what makes two of their elements the same.

Which lists those are says Kubernetes' schema (x-kubernetes-patch-strategy and -merge-key). A patch may also carry
directives: `$patch` (replace, delete), `$retainKeys`, `$setElementOrder/FIELD`, `$deleteFromPrimitiveList/FIELD`.
https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minipod.api import errors, schema

Object = dict[str, Any]
Schema = Mapping[str, Any]

_PATCH = "$patch"
_RETAIN_KEYS = "$retainKeys"
_SET_ORDER = "$setElementOrder/"
_DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
_MAX_DEPTH = 200
_UNKNOWN: Schema = {}


def merge(type_: type[Any], value: Object, patch: Object) -> Object:
    """`value`: an object of `type_` as plain values, which is not changed.

    Raises StatusError 400 for a patch that makes no sense, KeyError for a type without a schema.
    """
    return _object(value, patch, schema.definition(type_), 0)


def _object(value: Object, patch: Object, known: Schema, depth: int) -> Object:
    if depth > _MAX_DEPTH:
        raise errors.bad_request(f"a strategic merge patch may be nested {_MAX_DEPTH} levels deep")
    directive = patch.get(_PATCH)
    if directive == "delete":
        return {}
    if directive not in (None, "merge", "replace"):
        raise errors.bad_request(f"{_PATCH}: expected merge, replace or delete, got {directive!r}")
    merged = {} if directive == "replace" else dict(value)
    if _RETAIN_KEYS in patch:
        kept = _strings(patch[_RETAIN_KEYS], _RETAIN_KEYS)
        merged = {key: item for key, item in merged.items() if key in kept}
    for key, item in patch.items():
        if key.startswith(_DELETE_PRIMITIVES):
            field = key.removeprefix(_DELETE_PRIMITIVES)
            gone = {_scalar(one) for one in _list(item, key)}
            if isinstance(merged.get(field), list):
                merged[field] = [one for one in merged[field] if _scalar(one) not in gone]
        elif key.startswith(_SET_ORDER):
            # The list itself may be absent from the patch: then this is all there is to do to it.
            field = key.removeprefix(_SET_ORDER)
            if field not in patch and isinstance(merged.get(field), list):
                merged[field] = _merged_list(
                    merged[field], [], _field(known, field), depth, _list(item, key)
                )
        elif item is None:
            merged.pop(key, None)
        elif not key.startswith("$"):
            order = patch.get(_SET_ORDER + key)
            merged[key] = _value(merged.get(key), item, _field(known, key), depth, order)
    return merged


def _value(value: Any, patch: Any, known: Schema, depth: int, order: Any) -> Any:
    if isinstance(patch, dict):
        return _object(value if isinstance(value, dict) else {}, patch, _below(known), depth + 1)
    if isinstance(patch, list) and "merge" in _strategy(known):
        listed = _list(order, _SET_ORDER) if order is not None else None
        return _merged_list(value if isinstance(value, list) else [], patch, known, depth, listed)
    return patch


def _merged_list(
    value: Sequence[Any], patch: list[Any], known: Schema, depth: int, order: list[Any] | None
) -> list[Any]:
    """`order`: the elements (of objects: their merge keys) in the order the client wants; None: as in the patch."""
    merge_key = known.get("x-kubernetes-patch-merge-key")
    if merge_key is None:
        merged = {_scalar(one): one for one in (*value, *patch)}
        return _ordered(merged, [_scalar(one) for one in value], [_scalar(one) for one in order or patch])
    if any(isinstance(one, dict) and one.get(_PATCH) == "replace" for one in patch):
        return [one for one in patch if not (isinstance(one, dict) and _PATCH in one)]
    merged = _by_key(value, merge_key)
    server, inner = list(merged), _below(known)
    for one in patch:
        name = _key(one, merge_key)
        if one.get(_PATCH) == "delete":
            merged.pop(name, None)
        else:
            merged[name] = _object(merged.get(name) or {}, one, inner, depth + 1)
    return _ordered(merged, server, [_key(one, merge_key) for one in order or patch])


def _by_key(elements: Sequence[Any], merge_key: str) -> dict[Any, Any]:
    """Elements by their keys. Only the first of two with the same key (port 53 twice) can be patched; both are kept."""
    found: dict[Any, Any] = {}
    for place, one in enumerate(elements):
        key = _key(one, merge_key)
        found[(key, place) if key in found else key] = one
    return found


def _ordered(found: Mapping[Any, Any], server: Sequence[Any], wanted: Sequence[Any]) -> list[Any]:
    """The elements `wanted` in that order and the others as the server had them, each pair as the server had it."""
    places = {key: place for place, key in enumerate(server)}
    first = [key for key in dict.fromkeys(wanted) if key in found]
    asked = set(first)
    rest = [key for key in dict.fromkeys(server) if key in found and key not in asked]
    order: list[Any] = []
    left, right = iter(first), iter(rest)
    mine, theirs = next(left, None), next(right, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine in places and places[mine] < places[theirs]):
            order.append(mine)
            mine = next(left, None)
        else:
            order.append(theirs)
            theirs = next(right, None)
    return [found[key] for key in order]


def _field(known: Schema, name: str) -> Schema:
    properties: Mapping[str, Schema] = known.get("properties") or {}
    return properties.get(name, _UNKNOWN)


def _below(known: Schema) -> Schema:
    """The schema of an object in a field, or of a list's elements; of a map it has no fields."""
    reference = known.get("$ref") or (known.get("items") or {}).get("$ref")
    found: Schema = schema.definitions().get(reference or "", _UNKNOWN)
    return found


def _strategy(known: Schema) -> Sequence[str]:
    return str(known.get("x-kubernetes-patch-strategy", "")).split(",")


def _key(element: Any, merge_key: str) -> str | int:
    if not isinstance(element, dict) or merge_key not in element:
        raise errors.bad_request(f"an element of a merged list lacks its merge key {merge_key}")
    return _scalar(element[merge_key])


def _scalar(value: Any) -> str | int:
    if not isinstance(value, str | int):
        raise errors.bad_request(
            "what identifies an element of a merged list must be a string or an integer"
        )
    return value


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise errors.bad_request(f"{name} must be a list")
    return value


def _strings(value: Any, name: str) -> set[str]:
    found = _list(value, name)
    if not all(isinstance(one, str) for one in found):
        raise errors.bad_request(f"{name} must be a list of names")
    return set(found)
