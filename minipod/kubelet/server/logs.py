"""Reads the CRI log files that shims write, for `logs`: tail, since, previous, and following across rotation.

Format: https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md -
`TIMESTAMP stdout|stderr P|F text`; P marks a piece of a longer line.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from asyncinotify import Event, Inotify, Mask

CHUNK = 256 * 1024
"""Bytes read from a file at a time."""
MAX_PIECE = 64 * 1024
MAX_LINES = 2000
"""Bytes and lines read, wanted or not, after which a piece is handed on and the event loop has its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """`since` compares with each line's own time; `limit` in bytes of output; `tail` in lines (None: all)."""

    timestamps: bool = False
    tail: int | None = None
    since: datetime | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    time: bytes
    stream: bytes
    full: bool
    text: bytes


def parse_line(line: bytes) -> LogLine | None:
    """One line of the file (without its newline); None when it is not a CRI log line."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[1] not in (b"stdout", b"stderr"):
        return None
    return LogLine(parts[0], parts[1], parts[2].split(b":")[0] == b"F", parts[3])


def log_files(path: Path) -> list[Path]:
    """The rotated files of one container's log, oldest first, then `path` itself."""
    rotated = sorted(
        p for p in path.parent.glob(f"{path.name}.*") if p.name[len(path.name) + 1 :][:8].isdigit()
    )
    return [*rotated, path] if path.exists() else rotated


class LogFormatter:
    """Turns file lines into what the user sees; pieces of one long line are joined again."""

    def __init__(self, options: LogOptions) -> None:
        self._timestamps = options.timestamps
        self._since = _since_bytes(options.since) if options.since else b""
        self._left = options.limit
        self._open = False

    @property
    def exhausted(self) -> bool:
        return self._left is not None and self._left <= 0

    def format(self, raw: bytes) -> bytes:
        line = parse_line(raw)
        if line is None or (self._since and _comparable(line.time) < self._since):
            return b""
        out = line.text + (b"\n" if line.full else b"")
        if self._timestamps and not self._open:
            out = line.time + b" " + out
        self._open = not line.full
        if self._left is not None:
            out = out[: max(self._left, 0)]
            self._left -= len(out)
        return out


class LogReader:
    """Reads complete lines from the rotated files and then the live one, following the live one's renames."""

    def __init__(self, path: Path, *, tail: int | None = None) -> None:
        self._path = path
        self._waiting = log_files(path)
        self._file: BinaryIO | None = None
        self._rest = b""
        if tail is not None:
            self._skip_to_tail(tail)

    def read_lines(self) -> Iterator[bytes]:
        """Every line there is now; call again for those written since."""
        while self._file is not None or self._open_next():
            yield from self._read_open()
            if not self._waiting and not self._renamed():
                return
            yield from self._read_open()  # written between the last read and the rename
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open_next(self) -> bool:
        path = self._waiting.pop(0) if self._waiting else self._path
        try:
            self._file = path.open("rb")
        except FileNotFoundError:
            return bool(self._waiting) and self._open_next()
        return True

    def _read_open(self) -> Iterator[bytes]:
        assert self._file is not None
        while chunk := self._file.read(CHUNK):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            yield from lines

    def _renamed(self) -> bool:
        assert self._file is not None
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False  # between rename and re-creation: the next look finds the new file
        mine = os.fstat(self._file.fileno())
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)

    def _skip_to_tail(self, lines: int) -> None:
        """Start at the last `lines` lines, found from the end so that a long log costs no more than a short one."""
        for index in range(len(self._waiting) - 1, -1, -1):
            with self._waiting[index].open("rb") as file:
                offset, found = _offset_of_last(file, lines)
            if found >= lines or index == 0:
                self._waiting = self._waiting[index:]
                if self._open_next() and self._file is not None:
                    self._file.seek(offset)
                return
            lines -= found


def _offset_of_last(file: BinaryIO, lines: int) -> tuple[int, int]:
    """Where the last `lines` lines of a file begin, and how many there are (fewer when the file is shorter)."""
    end = file.seek(0, os.SEEK_END)
    if lines == 0:
        return end, 0
    position, newlines = end, 0
    while position > 0:
        size = min(CHUNK, position)
        position -= size
        file.seek(position)
        chunk = file.read(size)
        at = len(chunk)
        while (at := chunk.rfind(b"\n", 0, at)) >= 0:
            newlines += 1
            if newlines == lines + 1:
                return position + at + 1, lines
    return 0, newlines


async def read_logs(
    path: Path, options: LogOptions, *, ended: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[bytes]:
    """The log of one container attempt, in chunks.

    With `ended` (returns once the container has ended), goes on until then: woken by the kernel, across rotations.
    """
    formatter = LogFormatter(options)
    reader = LogReader(path, tail=options.tail)
    try:
        if ended is None:
            for piece in _formatted(reader, formatter):
                if piece:
                    yield piece
                await asyncio.sleep(0)  # a container may have written a great deal: others have their turn
            return
        async for piece in _follow(path, reader, formatter, ended):
            yield piece
    finally:
        reader.close()


async def _follow(
    path: Path, reader: LogReader, formatter: LogFormatter, ended: Callable[[], Awaitable[None]]
) -> AsyncIterator[bytes]:
    end = asyncio.ensure_future(ended())
    with Inotify() as inotify:
        inotify.add_watch(path.parent, Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO)
        try:
            while not formatter.exhausted:
                over = end.done()
                for piece in _formatted(reader, formatter):
                    if piece:
                        yield piece
                    await asyncio.sleep(0)
                if over:
                    return
                await _either(end, asyncio.ensure_future(inotify.get()))
        finally:
            end.cancel()


async def _either(end: asyncio.Future[None], changed: asyncio.Future[Event]) -> None:
    """Until one of the two is done. `changed` is over afterwards, whatever happened.

    It has the inotify descriptor in the event loop's hands. Were the descriptor closed before it has let go, the next
    connection could get the same number, and lose its place in the loop when `changed` is cleaned up.
    """
    both: tuple[asyncio.Future[Any], ...] = (end, changed)
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        changed.cancel()
        await asyncio.gather(changed, return_exceptions=True)


def _formatted(reader: LogReader, formatter: LogFormatter) -> Iterator[bytes]:
    """What there is now, in pieces of bounded work: one is empty when nothing of much that was read is wanted."""
    pending: list[bytes] = []
    size = lines = 0
    for line in reader.read_lines():
        if out := formatter.format(line):
            pending.append(out)
        size += len(line)
        lines += 1
        if size >= MAX_PIECE or lines >= MAX_LINES:
            yield b"".join(pending)
            pending, size, lines = [], 0, 0
        if formatter.exhausted:
            break
    if pending:
        yield b"".join(pending)


def _comparable(time: bytes) -> bytes:
    """An RFC 3339 time in UTC with nine digits of fraction, so that times compare as bytes."""
    whole, _, fraction = time.rstrip(b"Z").partition(b".")
    return whole + b"." + fraction.ljust(9, b"0")


def _since_bytes(since: datetime) -> bytes:
    return _comparable(since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").encode())
