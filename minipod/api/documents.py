"""Manifests: from YAML or JSON text to plain values, with the place in the file of whatever is wrong.

This is YAML as Kubernetes' own tools read it, which is not quite PyYAML's: dates stay strings, `22:22` is no number
in base 60, a mapping's keys are strings and may not repeat, and values that JSON cannot hold are refused.
`kind: List` documents are taken apart. Nothing here knows a kind: that a document *is* a Pod is decided later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import yaml

Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAXIMUM_NODES = 1_000_000
"""More than any manifest has; aliases that refer to aliases reach it quickly (a "YAML bomb")."""

MAXIMUM_EXACT = 2**53
"""Whole numbers above it are not exact as floating point."""

JSON_TAGS = frozenset(("str", "null", "bool", "int", "float", "timestamp", "value"))
NULL = re.compile(r"~|null|Null|NULL|")
BOOL = re.compile(r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF")
INT = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
RESOLVER: Final = yaml.resolver.Resolver()
STEP = re.compile(r"\[(\d+)\]|\[([^\]]*)\]|\.?([^.\[]+)")


class DocumentError(ValueError):
    """Text that is not a manifest. The message begins with source:line:column where there is one."""


@dataclass(frozen=True, slots=True)
class Document:
    """One object as written. `source` is a file's name; `line` counts from 1."""

    value: dict[str, Any]
    source: str
    line: int
    node: yaml.Node

    def locate(self, path: str) -> tuple[int, int] | None:
        """Line and column, from 1, of a field such as `spec.containers[0].image`, or of the nearest one above it."""
        node, mark = self.node, None
        for index, quoted, name in STEP.findall(path):
            step = _child(node, int(index) if index else quoted or name)
            if step is None:
                break
            mark, node = step
        return (mark.line + 1, mark.column + 1) if mark else None


def parse(text: str, source: str) -> list[Document]:
    """All objects in the text: documents between `---` lines, Lists taken apart, empty documents left out.

    Raises DocumentError.
    """
    documents: list[Document] = []
    try:
        for node in yaml.compose_all(text, Loader):
            if node is not None and not _is_null(node):
                documents += _objects(node, source)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, source) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DocumentError(f"{source}: {error}") from error
    return documents


def _objects(node: yaml.Node, source: str) -> Iterator[Document]:
    value = _Builder(source).build(node)
    if not isinstance(value, dict):
        raise DocumentError(
            f"{_place(source, node)}: expected an object with apiVersion and kind, got {_kind(value)}"
        )
    items = value.get("items")
    if not (str(value.get("kind", "")).endswith("List") and isinstance(items, list)):
        yield Document(value, source, node.start_mark.line + 1, node)
        return
    sequence = next(v for k, v in node.value if k.value == "items")
    for item in sequence.value:
        yield from _objects(item, source)


class _Builder:
    """Turns composed nodes into plain values, and stops at whatever JSON and Kubernetes do not know."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._left = MAXIMUM_NODES
        self._open: set[int] = set()

    def build(self, node: yaml.Node) -> Any:
        self._left -= 1
        if self._left < 0:
            raise self._error(node, f"more than {MAXIMUM_NODES} values once its aliases are followed")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._error(node, "an alias refers to the value it is part of")
        self._open.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            value: Any = [self.build(item) for item in node.value]
        else:
            value = self._mapping(node.value)
        self._open.discard(id(node))
        return value

    def _mapping(self, pairs: list[tuple[yaml.Node, yaml.Node]]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in pairs:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged |= self._merge(value_node)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be a string")
            key = key_node.value
            if key in own:
                raise self._error(key_node, f'key "{key}" is already set in this mapping')
            own[key] = self.build(value_node)
        return merged | own

    def _merge(self, node: yaml.Node) -> dict[str, Any]:
        value = self.build(node)
        parts = value if isinstance(value, list) else [value]
        merged: dict[str, Any] = {}
        for part in reversed(parts):
            if not isinstance(part, dict):
                raise self._error(node, "<< takes a mapping or a list of mappings")
            merged |= part
        return merged

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if node.style or kind == "!" or (kind == "str" and _implicit_kind(node.value) != "str"):
            return node.value
        value = plain_scalar(node.value)
        if kind not in JSON_TAGS or value in (inf, -inf) or NOT_FINITE.fullmatch(node.value):
            raise self._error(node, f"{node.value!r} ({kind}) has no counterpart in JSON")
        return value

    def _error(self, node: yaml.Node, problem: str) -> DocumentError:
        return DocumentError(f"{_place(self._source, node)}: {problem}")


def plain_scalar(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means to Kubernetes."""
    if NULL.fullmatch(text):
        return None
    if BOOL.fullmatch(text):
        return text.lower() in ("yes", "true", "on")
    if INT.fullmatch(text):
        return _integer(text)
    if FLOAT.fullmatch(text):
        number = float(text.replace("_", ""))
        return int(number) if number.is_integer() and abs(number) < MAXIMUM_EXACT else number
    return text


def _implicit_kind(text: str) -> str:
    """What PyYAML takes an untagged scalar for; when its node says otherwise, the author wrote a tag."""
    tag: str = RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag.removeprefix("tag:yaml.org,2002:")


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _child(node: yaml.Node, step: int | str) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark, node.value[step]
    if isinstance(node, yaml.MappingNode):
        return next(((k.start_mark, v) for k, v in node.value if k.value == str(step)), None)
    return None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _kind(value: Any) -> str:
    return {list: "a list", str: "a string", bool: "a boolean"}.get(type(value), "a number")


def _place(source: str, node: yaml.Node) -> str:
    return f"{source}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _syntax_error(error: yaml.MarkedYAMLError, text: str, source: str) -> DocumentError:
    """The problem, and the line it is in with a caret below the column."""
    mark = error.problem_mark or error.context_mark
    problem = " ".join(filter(None, (error.context, error.problem)))
    if mark is None:
        return DocumentError(f"{source}: {problem}")
    message = f"{source}:{mark.line + 1}:{mark.column + 1}: {problem}"
    lines = text.splitlines()
    if mark.line < len(lines) and len(lines[mark.line]) < 200:
        message += f"\n  {lines[mark.line]}\n  {' ' * mark.column}^"
    return DocumentError(message)
