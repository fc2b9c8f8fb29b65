"""Decompression of honest and of hostile streams."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from minipod.images.compression import CHUNK, Compression, DecompressingReader
from minipod.images.errors import InvalidImageError, UnsupportedImageError
from tests.unit.images.archives import digest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "gzip": gzip.compress,
    "zstd": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}
DATA = random.Random(1).randbytes(CHUNK + 1000) + bytes(3 * CHUNK)


@pytest.mark.parametrize("name", COMPRESSORS)
def test_what_went_in_comes_out_hashed(name: str) -> None:
    reader = DecompressingReader(io.BytesIO(COMPRESSORS[name](DATA)))
    assert reader.compression is Compression(name)
    assert io.BufferedReader(reader, CHUNK).read() == DATA
    assert reader.digest == digest(DATA)
    assert reader.bytes_read == len(DATA)


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_source_may_give_one_byte_at_a_time(name: str) -> None:
    class Dribble(io.BytesIO):
        def read(self, n: int | None = -1, /) -> bytes:
            return super().read(min(1, n or 0))

    reader = DecompressingReader(Dribble(COMPRESSORS[name](b"slowly" * 100)))
    assert reader.read() == b"slowly" * 100


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_concatenated_and_zero_padded(name: str) -> None:
    compress = COMPRESSORS[name]
    data = compress(DATA) + compress(b"more") + bytes(1000) + compress(b"!") + bytes(CHUNK)
    assert DecompressingReader(io.BytesIO(data)).read() == DATA + b"more!"


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [1, 5, 1000])
def test_truncated_input_is_an_error(name: str, cut: int) -> None:
    with pytest.raises(InvalidImageError, match="truncated"):
        DecompressingReader(io.BytesIO(COMPRESSORS[name](DATA)[:-cut])).read()


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_damaged_input_is_an_error(name: str) -> None:
    data = bytearray(COMPRESSORS[name](DATA))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(InvalidImageError, match=f"damaged {name} data"):
        DecompressingReader(io.BytesIO(bytes(data))).read()


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@pytest.mark.parametrize("rest", [b"garbage", b"x", b"\0\0\x1f", gzip.compress(b"x")[:3] + b"\xff" * 20])
def test_garbage_after_the_end_is_an_error(name: str, rest: bytes) -> None:
    with pytest.raises(InvalidImageError):
        DecompressingReader(io.BytesIO(COMPRESSORS[name](DATA) + rest)).read()


@pytest.mark.parametrize(("compress", "name"), [(bz2.compress, "bzip2"), (lzma.compress, "xz")])
def test_other_compressions_are_named(compress: Callable[[bytes], bytes], name: str) -> None:
    with pytest.raises(UnsupportedImageError, match=f"compressed with {name}"):
        DecompressingReader(io.BytesIO(compress(b"x")))


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_bomb_comes_in_small_pieces(name: str) -> None:
    bomb = COMPRESSORS[name](bytes(20 * CHUNK))
    assert len(bomb) < CHUNK
    tracemalloc.start()
    reader = DecompressingReader(io.BytesIO(bomb))
    while reader.read(1000):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reader.bytes_read == 20 * CHUNK
    assert peak < 8 * CHUNK


def test_nothing_is_nothing() -> None:
    assert DecompressingReader(io.BytesIO(b"")).read() == b""
