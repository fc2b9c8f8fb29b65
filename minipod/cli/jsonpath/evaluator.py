"""Walks an object with a parsed template: find() for the values of one path, render() for the text of a template."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable
from typing import Any

from minipod.cli.jsonpath.parser import (
    Descent,
    Field,
    Filter,
    JSONPathError,
    Literal,
    Range,
    Slice,
    Step,
    Template,
    Union,
    Wildcard,
)

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def find(template: Template, value: Any) -> list[Any]:
    """The values that the template's paths lead to, in order. Raises JSONPathError when a path does not fit."""
    found: list[Any] = []
    for part in template:
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, Range):
            for item in _walk([value], part.path):
                found += find(part.body, item)
        else:
            found += _walk([value], part)
    return found


def render(template: Template, value: Any) -> str:
    """The template as text: strings bare, maps and lists as JSON, several values of one path joined by a space."""
    out: list[str] = []
    for part in template:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, Range):
            out += [render(part.body, item) for item in _walk([value], part.path)]
        else:
            out.append(" ".join(_text(item) for item in _walk([value], part)))
    return "".join(out)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return _go_json(value)


def _go_json(value: Any) -> str:
    """Go's encoding/json: sorted keys, no spaces, `<`, `>` and `&` escaped."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _walk(values: list[Any], path: tuple[Step, ...]) -> list[Any]:
    for step in path:
        values = _step(values, step)
    return values


def _step(values: list[Any], step: Step) -> list[Any]:
    match step:
        case Literal(value):
            return [value]
        case Field(name):
            return [v[name] for v in values if isinstance(v, dict) and name in v]
        case Wildcard():
            return [child for v in values for child in _children(v)]
        case Descent():
            return list(_descend(values))
        case Slice():
            return [item for v in values if v is not None for item in _slice(v, step)]
        case Union(branches):
            return [found for branch in branches for found in _walk(values, branch)]
        case Filter():
            return [item for v in values if v is not None for item in _list(v) if _passes(item, step)]


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _descend(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if children := _children(value):
            yield value
            yield from _descend(children)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        kind = "an object" if isinstance(value, dict) else _text(value)
        raise JSONPathError(f"{kind} is not an array: it has no elements to pick or filter")
    return value


def _slice(value: Any, step: Slice) -> list[Any]:
    items = _list(value)
    start = step.start or 0
    stop = start + 1 if step.single else step.stop
    if start < 0:
        start += len(items)
    if stop is None:
        stop = len(items)
    elif stop < 0 or (stop == 0 and step.single):
        stop += len(items)
    if start == stop:
        return []
    for index, allowed in ((start, range(len(items))), (stop - 1, range(-1, len(items)))):
        if index not in allowed:
            raise JSONPathError(f"array index out of bounds: index {index}, length {len(items)}")
    if start > stop:
        raise JSONPathError(f"starting index {start} is greater than ending index {stop}")
    if step.step is not None and step.step <= 0:
        raise JSONPathError(f"step must be > 0, got {step.step}")
    return items[start : stop : step.step or 1]


def _passes(item: Any, condition: Filter) -> bool:
    left = _walk([item], condition.left)
    if not condition.operator:
        return bool(left)
    right = _walk([item], condition.right)
    if not left or not right:
        return False
    if len(left) > 1 or len(right) > 1:
        raise JSONPathError("can only compare one element at a time")
    compare = COMPARE.get(condition.operator)
    if compare is None:
        raise JSONPathError(f"unrecognized filter operator {condition.operator}")
    if type(left[0]) is not type(right[0]):
        raise JSONPathError(f"incompatible types for comparison: {_text(left[0])} and {_text(right[0])}")
    try:
        return compare(left[0], right[0])
    except TypeError as error:
        raise JSONPathError(f"invalid types for comparison: {error}") from error
