"""The last words of a container: the end of its log, as text that does nothing to a terminal."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from minipod.kubelet.containers.log_end import log_ends
from minipod.kubelet.history.entries import printable
from minipod.kubelet.server.logs import LogFormatter, LogOptions

MAX_LINES = 10
MAX_CHARS = 2048
READ_BYTES = 40 * 1024
"""Room for the longest piece of a line that a log has (16 KiB), and the one before it."""
MAX_FILES = 2
"""The newest ones, enough across a rotation."""


def log_tail(path: Path, *, lines: int = MAX_LINES, limit: int = MAX_CHARS) -> tuple[str, ...]:
    """The last lines of one attempt's log, rotated files included; nothing when it has none or cannot be read.

    `limit` in characters for all of them together. Blocks, for one read of READ_BYTES at most twice.
    """
    found: list[str] = []
    try:
        for raw, _ in islice(log_ends(path, READ_BYTES), MAX_FILES):
            found = _texts(raw) + found
            if len(found) >= lines:
                break
    except OSError:
        pass
    return _bounded(found[-lines:], limit)


def _texts(raw: list[bytes]) -> list[str]:
    formatter = LogFormatter(LogOptions())
    text = b"".join(map(formatter.format, raw))
    return [
        line.rstrip("\r") for line in text.decode(errors="replace").removesuffix("\n").split("\n") if line
    ]


def _bounded(lines: list[str], limit: int) -> tuple[str, ...]:
    """The newest lines that have room; the last one is cut rather than left out."""
    kept: list[str] = []
    for line in reversed(lines):
        safe = printable(line, limit)
        if len(safe) > limit and kept:
            break
        kept.append(safe)
        limit -= len(safe)
        if limit <= 0:
            break
    return tuple(reversed(kept))
