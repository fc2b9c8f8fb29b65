"""Reading what may be compressed: plain, gzip or zstd, told apart by their first bytes, never by a name.

The output is hashed on the way and comes in bounded pieces: a small input cannot make much memory. Input that ends
before its compression does is an error, as is anything but zero padding after it.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zlib
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Protocol

from minipod.images.errors import InvalidImageError, UnsupportedImageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 256 * 1024

_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_UNREADABLE = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x04\x22\x4d\x18": "lz4", b"PK\x03\x04": "zip"}


class Compression(StrEnum):
    NONE = ""
    GZIP = "gzip"
    ZSTD = "zstd"


class Source(Protocol):
    """Whatever gives up to n bytes, and none at its end."""

    def read(self, n: int, /) -> bytes: ...


class _Decoder(Protocol):
    """One gzip member or zstd frame."""

    def decode(self, data: bytes) -> bytes:
        """The next piece of output, given more input or b"" to go on with what it has."""

    @property
    def hungry(self) -> bool:
        """Nothing more comes out without more input."""

    @property
    def ended(self) -> bool: ...

    @property
    def rest(self) -> bytes:
        """Input after the end."""


def detect(start: bytes) -> Compression:
    """How data that starts so is compressed. Raises UnsupportedImageError for a compression we know but cannot read."""
    if start.startswith(_GZIP):
        return Compression.GZIP
    if start.startswith(_ZSTD):
        return Compression.ZSTD
    for magic, name in _UNREADABLE.items():
        if start.startswith(magic):
            raise UnsupportedImageError(f"compressed with {name}; only gzip and zstd are supported")
    return Compression.NONE


class DecompressingReader(io.RawIOBase):
    """The plain bytes of a source, with their SHA-256. Wrap it in io.BufferedReader for small reads.

    Raises InvalidImageError when the compressed data is damaged or truncated.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._input = _read_at_least(source, 8)
        self.compression = detect(self._input)
        self._decoder = None if self.compression is Compression.NONE else _new_decoder(self.compression)
        self._output = memoryview(b"")
        self._hash = hashlib.sha256()
        self.bytes_read = 0
        """Plain bytes handed out so far."""

    @property
    def digest(self) -> str:
        """Digest of the plain bytes handed out so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        if not self._output:
            self._output = memoryview(self._next())
        piece = self._output[: len(target)]
        target[: len(piece)] = piece
        self._output = self._output[len(piece) :]
        self._hash.update(piece)
        self.bytes_read += len(piece)
        return len(piece)

    def _next(self) -> bytes:
        if self._decoder is None:
            data, self._input = self._input or self._source.read(CHUNK), b""
            return data
        while True:
            if self._decoder.ended and not self._next_member():
                return b""
            data = b""
            if self._decoder.hungry:
                data, self._input = self._input or self._source.read(CHUNK), b""
                if not data:
                    raise InvalidImageError(f"truncated: the {self.compression} data ends before its end")
            if output := self._decode(data):
                return output

    def _decode(self, data: bytes) -> bytes:
        assert self._decoder is not None
        try:
            return self._decoder.decode(data)
        except MemoryError as error:
            raise InvalidImageError(f"the {self.compression} data wants too much memory") from error
        except Exception as error:  # zlib.error, ZstdError: every one means that the data is bad
            raise InvalidImageError(f"damaged {self.compression} data: {error}") from error

    def _next_member(self) -> bool:
        """Start on the next member of a concatenation; False at the end of all input."""
        assert self._decoder is not None
        rest = self._decoder.rest
        while not rest.lstrip(b"\0"):  # tapes and block devices pad with zeros
            rest = self._source.read(CHUNK)
            if not rest:
                return False
        rest = rest.lstrip(b"\0")
        if len(rest) < len(_ZSTD):
            rest += _read_at_least(self._source, len(_ZSTD))
        if detect(rest) is not self.compression:
            raise InvalidImageError(f"unexpected bytes after the end of the {self.compression} data")
        self._decoder, self._input = _new_decoder(self.compression), rest
        return True


def _read_at_least(source: Source, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = source.read(CHUNK)
        if not piece:
            break
        data += piece
    return data


class _GzipDecoder:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    def decode(self, data: bytes) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, CHUNK)

    @property
    def hungry(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def ended(self) -> bool:
        return self._inner.eof

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data


class _ZstdDecoder:
    def __init__(self) -> None:
        # Only when needed: most images are gzip, and the daemon is to stay small.
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        self._inner = zstd.ZstdDecompressor()

    def decode(self, data: bytes) -> bytes:
        return self._inner.decompress(data, CHUNK)

    @property
    def hungry(self) -> bool:
        return self._inner.needs_input

    @property
    def ended(self) -> bool:
        return self._inner.eof

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data


def _new_decoder(compression: Compression) -> _Decoder:
    return _GzipDecoder() if compression is Compression.GZIP else _ZstdDecoder()


def copy(source: Source, target: IO[bytes], count: int | None = None) -> int:
    """Copy `count` bytes, or all there are, in bounded pieces; returns how many there were."""
    copied = 0
    while count is None or copied < count:
        piece = source.read(CHUNK if count is None else min(CHUNK, count - copied))
        if not piece:
            break
        target.write(piece)
        copied += len(piece)
    return copied
