"""Elastic tab stops, as Go's text/tabwriter lays them out and as kubectl's users know its columns.

A cell is text that ends in a tab; the rest of a line after its last tab is no cell and takes no part in alignment.
A column is a run of neighbouring lines that all have a cell there; it is as wide as its widest cell plus padding.
"""

from __future__ import annotations


class TabWriter:
    """Collects text and lays it out on flush.

    `minimum` is the least width of a column and `padding` what is added to its widest cell, both in characters. With
    `remember`, a column never gets narrower than it was in an earlier flush (a watch adds lines to a table).
    """

    def __init__(self, *, minimum: int, padding: int, remember: bool = False) -> None:
        self._minimum = minimum
        self._padding = padding
        self._text: list[str] = []
        self._remembered: list[int] | None = [] if remember else None

    def write(self, text: str) -> None:
        self._text.append(text)

    def flush(self) -> str:
        """Everything written since the last flush, laid out."""
        text = "".join(self._text)
        self._text.clear()
        if not text:
            return ""
        rows = [line.split("\t") for line in text.split("\n")]
        out: list[str] = []
        self._layout(rows, 0, len(rows), [], out)
        return "\n".join(out)

    def _layout(
        self, rows: list[list[str]], start: int, end: int, widths: list[int], out: list[str]
    ) -> None:
        column = len(widths)
        this = start
        while this < end:
            if column >= len(rows[this]) - 1:
                this += 1
                continue
            self._emit(rows[start:this], widths, out)
            start = this
            width = self._minimum
            while this < end and column < len(rows[this]) - 1:
                width = max(width, len(rows[this][column]) + self._padding)
                this += 1
            self._layout(rows, start, this, [*widths, self._settle(column, width)], out)
            start = this
        self._emit(rows[start:end], widths, out)

    def _settle(self, column: int, width: int) -> int:
        if self._remembered is None:
            return width
        if column >= len(self._remembered):
            self._remembered.append(width)
        self._remembered[column] = max(width, self._remembered[column])
        return self._remembered[column]

    @staticmethod
    def _emit(rows: list[list[str]], widths: list[int], out: list[str]) -> None:
        for row in rows:
            padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            out.append("".join(padded + row[len(widths) :]))
