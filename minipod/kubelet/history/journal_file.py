"""One journal on disk: lines are only ever added; when there are too many the file is written anew with fewer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from minipod.kubelet.history.entries import Entry, Step

MAX_BYTES = 256 * 1024
"""What a journal may grow to."""
KEPT_BYTES = MAX_BYTES // 2
"""What is left of one that grew beyond it."""
SUFFIX = ".jsonl"
NEW_SUFFIX = ".new"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class JournalFile:
    """`size` in bytes. Every method may raise OSError; what was on disk before is then still readable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._torn = False

    def load(self) -> list[Entry]:
        """What is there already; nothing when there is no file."""
        try:
            data = _read(self.path)
        except FileNotFoundError:
            return []
        self.size = len(data)
        self._torn = not data.endswith(b"\n")
        return parse(data)

    def append(self, entries: Iterable[Entry]) -> None:
        """In one write. It is not synced: a machine that loses power may lose the last seconds."""
        data = b"".join([_encode(entry) + b"\n" for entry in entries])
        if self._torn:
            data = b"\n" + data
        fd = _open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._torn = True  # until it is known not to be
        try:
            written = os.write(fd, data)
        finally:
            os.close(fd)
        self.size += written
        self._torn = written < len(data)
        if self._torn:
            raise OSError(f"{self.path}: only {written} of {len(data)} bytes could be written")

    def compact(self, terminations: int) -> None:
        """Keep the last `terminations` ends of each container and the newest of the rest."""
        lines = [
            _encode(entry) + b"\n"
            for entry in worth_keeping(parse(_read(self.path)), terminations=terminations)
        ]
        new = self.path.with_name(self.path.name + NEW_SUFFIX)
        fd = _open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            with open(fd, "wb") as file:
                file.writelines(lines)
            os.replace(new, self.path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise
        self.size = sum(map(len, lines))
        self._torn = False


def read(path: Path) -> list[Entry]:
    """The entries of a journal in the order of their times; torn and foreign lines are left out. Raises OSError."""
    return sorted(parse(_read(path)), key=lambda entry: entry.at)


def parse(data: bytes) -> list[Entry]:
    """As they were written; of entries with the same id the last one stands, in the place of the first."""
    found: dict[int, Entry] = {}
    for line in data.splitlines():
        try:
            entry = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # torn by a crash or a full disk
        found[entry.id] = entry
    return list(found.values())


def worth_keeping(
    entries: Sequence[Entry],
    *,
    terminations: int,
    limit: int = KEPT_BYTES,
    ends_limit: int = KEPT_BYTES * 3 // 4,
) -> list[Entry]:
    """Ends first (every container's last, then every container's last but one, ...), then the pod's making, then news.

    `limit` in bytes for all, `ends_limit` for the ends.
    """
    ranks: dict[str, int] = {}
    ends: list[tuple[int, Entry]] = []
    others: list[Entry] = []
    for entry in reversed(entries):
        if entry.step is Step.EXIT:
            rank = ranks[entry.container] = ranks.get(entry.container, 0) + 1
            if rank <= terminations:
                ends.append((rank, entry))
        else:
            others.append(entry)
    ends.sort(key=lambda end: end[0])
    others.sort(key=lambda entry: entry.step not in (Step.CREATED, Step.SCHEDULED))
    kept, size = _fill([entry for _, entry in ends], ends_limit)
    kept |= _fill(others, limit - size)[0]
    return [entry for entry in entries if entry.id in kept]


def _fill(entries: Iterable[Entry], limit: int) -> tuple[set[int], int]:
    """The ids of the first entries that have room in `limit` bytes, and the bytes they take."""
    kept: set[int] = set()
    size = 0
    for entry in entries:
        length = len(_encode(entry)) + 1
        if size + length > limit:
            break
        size += length
        kept.add(entry.id)
    return kept, size


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _read(path: Path) -> bytes:
    """At most what a journal can hold, from its end."""
    with open(_open(path, os.O_RDONLY), "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * MAX_BYTES))
        return file.read(2 * MAX_BYTES)
