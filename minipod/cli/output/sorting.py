"""--sort-by: objects in the order of one field, as kubectl compares them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from minipod.cli import jsonpath
from minipod.cli.errors import CommandError

T = TypeVar("T")


def sort_by(path: str, things: Sequence[T], value_of: Callable[[T], Any]) -> list[T]:
    """Sort by the field at `path`; things without it come first, `web2` comes before `web10`.

    Raises CommandError when not one of them has the field, JSONPathError when the path is none.
    """
    template = jsonpath.parse(jsonpath.relax(path))
    keyed = [(jsonpath.find(template, value_of(thing)), thing) for thing in things]
    if keyed and not any(found for found, _ in keyed):
        raise CommandError(f'not one of the objects has the field "{path}" to sort by')
    order = functools.cmp_to_key(_compare)
    keyed.sort(key=lambda pair: order(pair[0]))
    return [thing for _, thing in keyed]


def _compare(left: list[Any], right: list[Any]) -> int:
    if not left or not right:
        return len(left[:1]) - len(right[:1])
    a, b = left[0], right[0]
    if isinstance(a, str) and isinstance(b, str):
        a, b = _quantities(a, b) or (_natural(a), _natural(b))
    elif type(a) is not type(b) and not (isinstance(a, int | float) and isinstance(b, int | float)):
        a, b = str(a), str(b)
    try:
        return int(a > b) - int(a < b)
    except TypeError:
        return 0


def _quantities(a: str, b: str) -> tuple[Any, Any] | None:
    if not (a[:1].isdigit() and b[:1].isdigit()):
        return None
    from minipod.api.quantity import parse

    try:
        return parse(a), parse(b)
    except ValueError:
        return None


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Digits compare as numbers, and come before letters."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part
    ]
