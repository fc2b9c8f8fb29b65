"""`-o custom-columns=NAME:.metadata.name,IP:.status.podIP`: a table of JSONPaths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minipod.cli import jsonpath
from minipod.cli.errors import CommandError
from minipod.cli.output.tables import cell_text, column_writer


@dataclass(frozen=True, slots=True)
class Column:
    header: str
    template: jsonpath.Template


def parse_columns(text: str) -> list[Column]:
    """Read the list after `custom-columns=`. Raises CommandError, JSONPathError."""
    if not text:
        raise CommandError(
            "custom-columns needs columns: custom-columns=NAME:.metadata.name,IP:.status.podIP"
        )
    return [_column(part) for part in text.split(",")]


def read_columns(text: str) -> list[Column]:
    """The form of custom-columns-file: a line of headers and a line of paths."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) != 2 or len(lines[0]) != len(lines[1]):
        raise CommandError("a columns file has two lines with as many words: headers, then paths")
    return [_column(f"{header}:{path}") for header, path in zip(*lines, strict=True)]


def render_columns(columns: Sequence[Column], objects: Sequence[Any], *, headers: bool = True) -> str:
    writer = column_writer()
    if headers:
        writer.write("\t".join(column.header for column in columns) + "\n")
    for obj in objects:
        writer.write("\t".join(_value(column, obj) for column in columns) + "\n")
    return writer.flush()


def _column(part: str) -> Column:
    header, colon, path = part.partition(":")
    if not colon or not header or not path:
        raise CommandError(f'custom column "{part}" is not HEADER:PATH, such as NAME:.metadata.name')
    return Column(header, jsonpath.parse(jsonpath.relax(path)))


def _value(column: Column, obj: Any) -> str:
    found = jsonpath.find(column.template, obj)
    return ",".join(_go_text(value) for value in found) if found else "<none>"


def _go_text(value: Any) -> str:
    """A value as Go prints it: map[a:1 b:2], [x y], true."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{_go_text(v)}" for k, v in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go_text, value)) + "]"
    return "<nil>" if value is None else cell_text(value)
