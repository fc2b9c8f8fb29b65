"""What a tar header says: ustar, pax and GNU, as tar(5) of libarchive describes them.

Pure functions over the header's bytes. Every number and length is taken for a lie until checked.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from minipod.images.errors import InvalidImageError, UnsupportedImageError

BLOCK = 512

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_USUAL = re.compile(rb"[0-7]+[\0 ]")
_OCTAL = re.compile(rb"[0-7]*")
_DECIMAL = re.compile(rb"[0-9]{1,20}")
_PAX_TIME = re.compile(rb"(-?)([0-9]{1,18})(?:\.([0-9]*))?")
_XATTR = b"SCHILY.xattr."


class EntryType(Enum):
    FILE = b"0"
    HARDLINK = b"1"
    SYMLINK = b"2"
    CHARACTER = b"3"
    BLOCK = b"4"
    DIRECTORY = b"5"
    FIFO = b"6"


_TYPES = {t.value: t for t in EntryType} | {
    b"\0": EntryType.FILE,
    b"7": EntryType.FILE,
    b"S": EntryType.FILE,
}


@dataclass(slots=True, kw_only=True)
class TarEntry:
    """One member. `extents` says where its stored bytes belong in the file: one stretch, unless it is sparse."""

    name: bytes
    type: EntryType
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    """Of the file once written; the stored bytes of a sparse one are fewer."""
    extents: tuple[tuple[int, int], ...] = ()
    """(offset, length), ascending."""
    link: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Extended:
    """What pax and GNU headers said about the member that follows them."""

    pax: dict[bytes, bytes] = field(default_factory=dict)
    sparse_pairs: list[bytes] = field(default_factory=list)
    """Values of GNU.sparse.offset and .numbytes in their order: the one place where pax keys repeat."""
    name: bytes = b""
    link: bytes = b""


def has_right_checksum(header: bytes) -> bool:
    """Whether the header's checksum is right, counted unsigned or, as some old tars did, signed."""
    try:
        claimed = number(header[148:156], "checksum")
    except InvalidImageError:
        return False
    unsigned = sum(header) - sum(header[148:156]) + 8 * 0x20
    if claimed == unsigned:
        return True
    return claimed == unsigned - 256 * sum(b >= 0x80 for b in header[:148] + header[156:])


def decode(header: bytes, extended: Extended) -> TarEntry:
    """The member that a header announces, together with what came before it in extended headers."""
    (name, mode, uid, gid, size, mtime, _, kind, link, magic, _, _, major, minor, prefix) = _HEADER.unpack(
        header
    )
    pax = extended.pax
    name = name.partition(b"\0")[0]
    if magic == b"ustar\x0000" and (prefix := prefix.partition(b"\0")[0]):
        name = prefix + b"/" + name
    name = pax.get(b"path") or extended.name or name
    type_ = _TYPES.get(kind)
    if type_ is None:
        raise UnsupportedImageError(f"entry {printable(name)} has the unknown tar type {printable(kind)}")
    if type_ is EntryType.FILE and name.endswith(b"/"):
        type_ = EntryType.DIRECTORY  # how tar said it before there was a type for it
    is_device = type_ in (EntryType.CHARACTER, EntryType.BLOCK)
    return TarEntry(
        name=name,
        type=type_,
        mode=number(mode, "mode") & 0o7777,
        uid=_pax_number(pax, b"uid", uid),
        gid=_pax_number(pax, b"gid", gid),
        mtime_ns=_pax_time(pax[b"mtime"]) if pax.get(b"mtime") else number(mtime, "mtime") * 1_000_000_000,
        size=_pax_number(pax, b"size", size) if type_ is EntryType.FILE else 0,
        link=pax.get(b"linkpath") or extended.link or link.partition(b"\0")[0],
        device=(number(major, "major"), number(minor, "minor")) if is_device else (0, 0),
        xattrs={k[len(_XATTR) :]: v for k, v in pax.items() if k.startswith(_XATTR)} if pax else {},
    )


def number(raw: bytes, what: str) -> int:
    """A numeric field: octal digits, or base 256 when its top bit is set (GNU's way for large numbers)."""
    if _USUAL.fullmatch(raw):
        return int(raw[:-1], 8)
    if raw[0] & 0x80:
        top = 1 << (8 * len(raw) - 1)
        value = int.from_bytes(raw, "big") - top
        if raw[0] & 0x40:
            value -= top
    else:
        digits = raw.strip(b" \0").partition(b"\0")[0].strip(b" ")
        if not _OCTAL.fullmatch(digits):
            raise InvalidImageError(f"a tar header has {what} {printable(raw)}, expected octal digits")
        value = int(digits or b"0", 8)
    if value < 0 and what != "mtime":
        raise InvalidImageError(f"a tar header has the negative {what} {value}")
    return value


def _pax_number(pax: Mapping[bytes, bytes], key: bytes, fallback: bytes) -> int:
    value = pax.get(key)
    if not value:
        return number(fallback, key.decode())
    if not _DECIMAL.fullmatch(value):
        raise InvalidImageError(f"a pax header has {key.decode()}={printable(value)}, expected a number")
    return int(value)


def _pax_time(value: bytes) -> int:
    match = _PAX_TIME.fullmatch(value)
    if match is None:
        raise InvalidImageError(f"a pax header has mtime={printable(value)}, expected seconds")
    fraction = (match[3] or b"")[:9].ljust(9, b"0")
    nanoseconds = int(match[2]) * 1_000_000_000 + int(fraction)
    return -nanoseconds if match[1] else nanoseconds


def parse_pax(data: bytes) -> tuple[dict[bytes, bytes], list[bytes]]:
    """The records of a pax header, and the values of those whose key may repeat (see Extended.sparse_pairs)."""
    records: dict[bytes, bytes] = {}
    sparse_pairs: list[bytes] = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 21)
        length = data[position:space] if space > 0 else b""
        if not _DECIMAL.fullmatch(length):
            raise InvalidImageError("a pax header has a record without a length")
        end = position + int(length)
        record = data[space + 1 : end]
        key, equals, value = record[:-1].partition(b"=")
        if end > len(data) or not record.endswith(b"\n") or not equals or not key:
            raise InvalidImageError("a pax header has a record that is not length, key and value")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            sparse_pairs.append(value)
        else:
            records[key] = value
        position = end
    return records, sparse_pairs


def printable(raw: bytes) -> str:
    """A name from an archive, fit for a message: quoted, escaped, cut."""
    return repr(raw[:200].decode(errors="backslashreplace")) + ("…" if len(raw) > 200 else "")
