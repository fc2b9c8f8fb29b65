"""The paper descriptions are written on: indented lines with tab stops, and the pieces every kind has."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from typing import Any

from minipod.cli.output.tables import CONTROL, printable
from minipod.cli.output.tabwriter import TabWriter
from minipod.cli.three_way_merge import LAST_APPLIED

MAX_ANNOTATION = 140
"""Characters of an annotation's line that are shown."""


class Text:
    """Lines, each at a level of two spaces; a tab is a tab stop."""

    def __init__(self) -> None:
        self._writer = TabWriter(minimum=0, padding=2)

    def line(self, level: int, text: str) -> None:
        self._writer.write("  " * level + text + "\n")

    def field(self, level: int, name: str, value: Any) -> None:
        """`Name:` and a value; further lines of the value come below its first one."""
        first, *more = CONTROL.sub("?", str(value)).split("\n")
        self.line(level, f"{name}:\t{first}")
        for rest in more:
            self.line(level, f"\t{rest}")

    def rows(self, level: int, header: str, rows: list[list[str]], *, rule: str = "") -> None:
        """A small table. `header` holds the column names, `rule` the dashes below them, both separated by spaces."""
        self.line(level, "\t".join(header.split()))
        if rule:
            self.line(level, "\t".join(rule.split()))
        for row in rows:
            self.line(level, "\t".join(printable(cell) for cell in row))

    def mapping(self, level: int, name: str, pairs: Mapping[str, str]) -> None:
        """Labels: one a line, sorted, below one another."""
        lines = [f"{key}={value}" for key, value in sorted(pairs.items())]
        self.field(level, name, "\n".join(lines) or "<none>")

    def annotations(self, pairs: Mapping[str, str]) -> None:
        lines: list[str] = []
        for key, raw in sorted(pairs.items()):
            if key != LAST_APPLIED:
                lines += _annotation(key, raw.removesuffix("\n"))
        self.field(0, "Annotations", "\n".join(lines) or "<none>")

    def finish(self) -> str:
        return self._writer.flush()


def _annotation(key: str, value: str) -> list[str]:
    if len(value) + len(key) + 2 <= MAX_ANNOTATION and "\n" not in value:
        return [f"{key}: {value}"]
    limit = MAX_ANNOTATION - 2
    lines = [line if len(line) <= limit else line[:limit] + "..." for line in value.split("\n")]
    return [f"{key}:", *("  " + line for line in lines)]


def epoch(timestamp: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 time in UTC, as the API writes them; None for none."""
    if not timestamp:
        return None
    whole, _, fraction = timestamp.removesuffix("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds + (float("0." + fraction) if fraction else 0.0)


def date(timestamp: str | None) -> str:
    """`Fri, 20 Nov 2026 10:00:01 +0000` in the local time zone; `<unset>` for none."""
    seconds = epoch(timestamp)
    if seconds is None:
        return "<unset>"
    return time.strftime("%a, %d %b %Y %H:%M:%S %z", time.localtime(seconds))
