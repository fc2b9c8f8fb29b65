"""Reading tar archives forwards only, member by member.

Python's tarfile is not used: it takes a damaged header in mid-archive for the end, and reads pax headers of any
claimed size into memory.
"""

from __future__ import annotations

from typing import BinaryIO

from minipod.images import tar_header, tar_sparse
from minipod.images.errors import InvalidImageError
from minipod.images.tar_header import BLOCK, EntryType, Extended, TarEntry

SPECIAL_MAX = 1024 * 1024
"""Bytes of a pax header or a GNU long name."""
_SKIP_CHUNK = 1024 * 1024
_ZEROS = bytes(BLOCK)


class TarReader:
    """The members of an archive, one after the other. Raises InvalidImageError at the first thing that is wrong.

    `stream` is read in small pieces: give it a buffer. Between next() and next(), read() gives the stored bytes.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = 0
        self._padding = 0
        self._started = False
        self.marked_end = False
        """Whether the archive's end marker was there, once next() has returned None."""

    def next(self) -> TarEntry | None:
        """The next member, or None at the end."""
        extended = Extended()
        while (header := self._next_header()) is not None:
            kind = header[156:157]
            if kind in (b"x", b"X", b"L", b"K"):
                self._extend(extended, kind, header)
            elif kind == b"g":
                # For all members that follow (git-archive's comment): nothing to heed, so skipped.
                self._begin(tar_header.number(header[124:136], "size"))
            else:
                return self._member(header, extended)
        if extended != Extended():
            raise InvalidImageError("truncated: the archive ends after a member's extended header")
        return None

    def read(self, count: int, /) -> bytes:
        """Up to `count` of the member's stored bytes; b"" at their end."""
        wanted = min(count, self._left)
        data = self._stream.read(wanted)
        if len(data) < wanted:
            raise InvalidImageError("truncated: the archive ends in mid-file")
        self._left -= wanted
        return data

    def read_block(self, count: int = BLOCK) -> bytes:
        """Bytes of the archive's own framing: headers, padding, sparse maps."""
        data = self._stream.read(count)
        if len(data) < count:
            raise InvalidImageError("truncated: the archive ends in mid-block")
        return data

    def _member(self, header: bytes, extended: Extended) -> TarEntry:
        entry = tar_header.decode(header, extended)
        if entry.type is not EntryType.FILE:
            return entry
        self._begin(entry.size)
        entry.extents = ((0, entry.size),) if entry.size else ()
        if header[156:157] == b"S":
            tar_sparse.apply_old_gnu(entry, header, self.read_block)
        elif extended.pax:
            tar_sparse.apply_pax(entry, extended.pax, extended.sparse_pairs, self.read)
        return entry

    def _extend(self, extended: Extended, kind: bytes, header: bytes) -> None:
        size = tar_header.number(header[124:136], "size")
        if size > SPECIAL_MAX:
            raise InvalidImageError(f"an extended header claims {size} bytes; the limit is {SPECIAL_MAX}")
        self._begin(size)
        data = self.read(size)
        if kind == b"L":
            extended.name = data.partition(b"\0")[0]
        elif kind == b"K":
            extended.link = data.partition(b"\0")[0]
        else:
            extended.pax, extended.sparse_pairs = tar_header.parse_pax(data)

    def _begin(self, size: int) -> None:
        self._left, self._padding = size, -size % BLOCK

    def _next_header(self) -> bytes | None:
        while self._left:
            self.read(_SKIP_CHUNK)
        if self._padding:
            self.read_block(self._padding)
            self._padding = 0
        header = self._stream.read(BLOCK)
        if not header:
            return None
        if len(header) < BLOCK:
            raise InvalidImageError(
                "truncated: the archive ends in mid-header" if self._started else "not a tar archive"
            )
        if header == _ZEROS:
            self.marked_end = True
            return None
        if not tar_header.has_right_checksum(header):
            what = "damaged: a header's checksum is wrong" if self._started else "not a tar archive"
            raise InvalidImageError(what)
        self._started = True
        return header
