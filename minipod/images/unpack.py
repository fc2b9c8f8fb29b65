"""Unpacking one layer: a stream of tar entries becomes a directory that overlayfs can take as a lowerdir.

https://github.com/opencontainers/image-spec/blob/main/layer.md
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from minipod.images.compression import CHUNK, DecompressingReader, Source
from minipod.images.errors import InvalidImageError
from minipod.images.layer_writer import LayerLimits, LayerWriter
from minipod.images.tar import TarReader


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackedLayer:
    diff_id: str
    """Digest of the plain tar."""
    size: int
    """Bytes of its files."""


def unpack_layer(
    source: Source,
    target: Path,
    lower: Sequence[Path] = (),
    *,
    diff_id: str = "",
    limits: LayerLimits | None = None,
    checkpoint: Callable[[], None] = lambda: None,
) -> UnpackedLayer:
    """Unpack a layer (plain, gzip or zstd) into the empty directory `target`, on top of the layers `lower`.

    `lower` (uppermost first) is only looked at. `checkpoint` is called between entries and may raise. Raises
    InvalidImageError when the tar is damaged, has a forbidden entry or is not the one `diff_id` names; OSError when the
    disk fails (STORE_ERRNOS). Whatever is raised, the caller throws `target` away.
    """
    plain = DecompressingReader(source)
    with cast(BinaryIO, io.BufferedReader(plain, CHUNK)) as stream:
        reader = TarReader(stream)
        writer = LayerWriter(target, lower, reader, limits or LayerLimits())
        try:
            while (entry := reader.next()) is not None:
                checkpoint()
                writer.add(entry)
            writer.directory.finish()
        finally:
            writer.directory.close()
        _drain(stream, plain, writer.limits, checkpoint)
        if diff_id and plain.digest != diff_id:
            raise InvalidImageError(f"its content has the digest {plain.digest}, expected {diff_id}")
        return UnpackedLayer(diff_id=plain.digest, size=writer.size)


def _drain(
    stream: BinaryIO,
    plain: DecompressingReader,
    limits: LayerLimits,
    checkpoint: Callable[[], None],
) -> None:
    """Read what follows the end marker: it is part of the digest."""
    while stream.read(CHUNK):
        checkpoint()
        if plain.bytes_read > limits.bytes + limits.entries * 1024:
            raise InvalidImageError(f"more than {limits.bytes} bytes")
