"""Sparse files in tar archives: GNU's old format and the three pax ones (0.0, 0.1, 1.0).

https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from minipod.images.errors import InvalidImageError
from minipod.images.tar_header import BLOCK, TarEntry, number, printable

EXTENTS_MAX = 65536
_NUMBER = re.compile(rb"[0-9]{1,18}")
_OLD_HEADER_PAIRS, _OLD_EXTENSION_PAIRS = 4, 21

Map = list[tuple[int, int]]
ReadBlock = Callable[[], bytes]


def apply_old_gnu(entry: TarEntry, header: bytes, read_block: ReadBlock) -> None:
    """A member of type "S": pairs in the header, more in extension blocks that come before the data."""
    pairs = list(_old_pairs(header[386:482], _OLD_HEADER_PAIRS))
    more = header[482] != 0
    while more:
        block = read_block()
        pairs += _old_pairs(block, _OLD_EXTENSION_PAIRS)
        more = block[504] != 0
        _check_count(len(pairs))
    _apply(entry, number(header[483:495], "sparse size"), pairs, stored=entry.size)


def apply_pax(
    entry: TarEntry, pax: Mapping[bytes, bytes], pairs: Sequence[bytes], read_stored: Callable[[int], bytes]
) -> None:
    """A member whose pax header has GNU.sparse keys. `pairs` are those of format 0.0, offset and length in turn."""
    stored = entry.size
    entry.name = pax.get(b"GNU.sparse.name") or entry.name
    if pax.get(b"GNU.sparse.major") == b"1" and pax.get(b"GNU.sparse.minor") == b"0":
        values, consumed = _read_map(read_stored)
        stored -= consumed
    elif b"GNU.sparse.map" in pax:
        values = [_parse(v) for v in pax[b"GNU.sparse.map"].split(b",") if v]
    elif pairs:
        values = [_parse(v) for v in pairs]
    else:
        return
    if len(values) % 2:
        raise InvalidImageError(f"entry {printable(entry.name)} has half a pair in its sparse map")
    size = _parse(pax.get(b"GNU.sparse.realsize") or pax.get(b"GNU.sparse.size") or b"")
    _apply(entry, size, list(zip(values[::2], values[1::2], strict=True)), stored=stored)


def _old_pairs(raw: bytes, count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, 24 * count, 24):
        if raw[start] == 0:
            return
        offset, length = raw[start : start + 12], raw[start + 12 : start + 24]
        yield number(offset, "sparse offset"), number(length, "sparse length")


def _read_map(read_stored: Callable[[int], bytes]) -> tuple[list[int], int]:
    """Format 1.0: the map is decimal lines in front of the data, padded to whole blocks."""
    lines: list[bytes] = []
    text, consumed = b"", 0
    while not lines or len(lines) < 1 + 2 * _parse(lines[0]):
        block = read_stored(BLOCK)
        if len(block) < BLOCK:
            raise InvalidImageError("truncated: a sparse map ends in mid-block")
        consumed += BLOCK
        *complete, text = (text + block).split(b"\n")
        lines += complete
        _check_count(_parse(lines[0]) if lines else consumed)
    return [_parse(line) for line in lines[1 : 1 + 2 * _parse(lines[0])]], consumed


def _apply(entry: TarEntry, size: int, pairs: Map, *, stored: int) -> None:
    """Take the map for the entry's, if it is ascending, within the file and as long as the stored bytes."""
    _check_count(len(pairs))
    extents = tuple((offset, length) for offset, length in pairs if length)
    end = 0
    for offset, length in extents:
        if offset < end:
            raise InvalidImageError(f"entry {printable(entry.name)} has a sparse map out of order")
        end = offset + length
    if end > size or sum(length for _, length in extents) != stored:
        raise InvalidImageError(f"entry {printable(entry.name)} has a sparse map that does not fit its size")
    entry.size, entry.extents = size, extents


def _check_count(count: int) -> None:
    if count > EXTENTS_MAX:
        raise InvalidImageError(f"a sparse map has more than {EXTENTS_MAX} pieces")


def _parse(value: bytes) -> int:
    if not _NUMBER.fullmatch(value):
        raise InvalidImageError(f"a sparse map has {printable(value)}, expected a number")
    return int(value)
