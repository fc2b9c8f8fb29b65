"""What a lenient decoder passes over in silence: fields nobody knows, and keys said twice.

Kubernetes calls this field validation (fieldValidation=Strict|Warn). Each finding is one line that starts with the
field's path.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from minipod.api import errors, shapes
from minipod.api.shapes import Kind, Shape

MAX_DEPTH = 200


def unknown_fields(type_: type[msgspec.Struct], value: Any) -> list[str]:
    """Every field in parsed JSON or YAML that `type_` and what it holds do not have.

    "spec.containers[0].imagee: unknown field, did you mean image?"
    """
    return list(_unknown(shapes.of(type_), value, ""))


def load(data: bytes | str) -> tuple[Any, list[str]]:
    """JSON text -> its value (the last of equal keys counts) and a line for each key that is there twice.

    Raises StatusError 400 for text that is not JSON.
    """
    try:
        value = json.loads(data, object_pairs_hook=_Object, parse_constant=_refuse)
        return value, list(_duplicates(value, "", 0))
    except (ValueError, RecursionError) as error:
        raise errors.bad_request(f"cannot read the body as JSON: {error}") from None


def suggestion(word: str, known: Iterable[str]) -> str:
    """ ", did you mean image?" when `known` has something alike, or ""."""
    import difflib  # costs 5 ms, and only mistakes need it

    candidates = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), candidates, n=1, cutoff=0.7)
    return f", did you mean {candidates[close[0]]}?" if close else ""


class _Object(dict[str, Any]):
    """A JSON object that remembers which keys came more than once."""

    __slots__ = ("twice",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice: tuple[str, ...] = ()
        if len(self) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.twice = tuple(key for key, count in counts.items() if count > 1)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _duplicates(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, _Object):
        for key in value.twice:
            yield f"{_child(path, key)}: duplicate field"
        for key, item in value.items():
            yield from _duplicates(item, _child(path, key), depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _duplicates(item, f"{path}[{index}]", depth + 1)


def _unknown(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.struct is not None and isinstance(value, dict):
        known = shapes.fields(shape.struct)
        for key, item in value.items():
            inner = known.get(key)
            if inner is None:
                yield f"{_child(path, key)}: unknown field{suggestion(str(key), known)}"
            elif inner.element is not None or inner.struct is not None:
                yield from _unknown(inner, item, _child(path, key))
    elif shape.element is None:
        return
    elif shape.kind is Kind.MAP and isinstance(value, dict):
        for key, item in value.items():
            yield from _unknown(shape.element, item, f"{path}[{key}]")
    elif shape.kind is Kind.LIST and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(shape.element, item, f"{path}[{index}]")


def _child(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)
