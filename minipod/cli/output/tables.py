"""Server-side Tables (meta.k8s.io/v1) as text: which columns show, and what else kubectl puts beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minipod.cli.output.tabwriter import TabWriter

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    wide: bool = False
    headers: bool = True
    namespaces: bool = False
    show_labels: bool = False
    label_columns: tuple[str, ...] = ()
    kind: str = ""
    """Put before each name, as `pod/web`, when several types are listed."""


class TablePrinter:
    """Lays out one table, or the tables of one watch: headers once, columns that keep their width."""

    def __init__(self, options: TableOptions) -> None:
        self._options = options
        self._writer = column_writer(remember=True)
        self._columns: list[dict[str, Any]] = []
        self._headers_due = options.headers

    def render(self, table: dict[str, Any]) -> str:
        """The text of a Table. In a watch only the first one names its columns."""
        self._columns = table.get("columnDefinitions") or self._columns
        rows = table.get("rows") or []
        if self._headers_due and rows:
            self._headers_due = False
            self._line([column["name"].upper() for column in self._shown()], self._extra_headers())
        for row in rows:
            self._row(row)
        return self._writer.flush()

    def _shown(self) -> list[dict[str, Any]]:
        return [c for c in self._columns if self._options.wide or not c.get("priority")]

    def _extra_headers(self) -> tuple[list[str], list[str]]:
        options = self._options
        after = [label.rpartition("/")[2].upper() for label in options.label_columns]
        return (["NAMESPACE"] if options.namespaces else []), after + (
            ["LABELS"] if options.show_labels else []
        )

    def _row(self, row: dict[str, Any]) -> None:
        options = self._options
        metadata = (row.get("object") or {}).get("metadata") or {}
        labels = metadata.get("labels") or {}
        cells = [
            self._cell(column, cell)
            for column, cell in zip(self._columns, row["cells"], strict=False)
            if options.wide or not column.get("priority")
        ]
        after = [labels.get(label, "") for label in options.label_columns]
        if options.show_labels:
            after.append(",".join(f"{k}={v}" for k, v in sorted(labels.items())) or "<none>")
        self._line(cells, ([metadata.get("namespace", "")] if options.namespaces else [], after))

    def _cell(self, column: dict[str, Any], cell: Any) -> str:
        text = cell_text(cell)
        if self._options.kind and column.get("format") == "name":
            return f"{self._options.kind}/{text}"
        return text

    def _line(self, cells: Sequence[str], around: tuple[list[str], list[str]]) -> None:
        before, after = around
        self._writer.write("\t".join([*before, *cells, *after]) + "\n")


def column_writer(*, remember: bool = False) -> TabWriter:
    """Columns as every `get` has them."""
    return TabWriter(minimum=6, padding=3, remember=remember)


def cell_text(value: Any) -> str:
    """One line that cannot steer a terminal: cut at a line break, control characters replaced."""
    if value is None:
        return "<none>"
    if isinstance(value, bool):
        return str(value).lower()
    first, *more = str(value).replace("\t", " ").split("\n", 1)
    return printable(first) + ("..." if more else "")


def printable(text: str) -> str:
    """Text from the API with control characters shown, not obeyed: names and messages may be hostile."""
    return CONTROL.sub(lambda match: f"^{chr(ord(match[0]) ^ 64)}" if ord(match[0]) < 128 else "?", text)
