"""A tree of lines drawn with branches, as tree(1) draws directories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

BRANCHES = ("├─ ", "└─ ", "│  ", "   ")
PLAIN_BRANCHES = ("|- ", "`- ", "|  ", "   ")
"""For a terminal that cannot show the others."""


@dataclass(slots=True)
class Branch:
    """A line and what hangs below it."""

    text: str
    children: list[Branch] = field(default_factory=list)

    def add(self, text: str) -> Branch:
        child = Branch(text)
        self.children.append(child)
        return child


def draw(root: Branch, *, plain: bool = False) -> str:
    return "\n".join([root.text, *_lines(root.children, "", PLAIN_BRANCHES if plain else BRANCHES)]) + "\n"


def _lines(children: Sequence[Branch], indent: str, marks: tuple[str, str, str, str]) -> list[str]:
    between, last, down, nothing = marks
    lines: list[str] = []
    for child in children:
        final = child is children[-1]
        lines.append(indent + (last if final else between) + child.text)
        lines += _lines(child.children, indent + (nothing if final else down), marks)
    return lines


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their cells below one another, two spaces apart; the last cell is not padded."""
    widths = (
        [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)] if rows else []
    )
    return ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in rows]
