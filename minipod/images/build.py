"""A root file system as an image of one layer. Blocking."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from minipod.images import oci
from minipod.images.archive import layer_media_type
from minipod.images.compression import CHUNK, Compression, DecompressingReader, Source
from minipod.images.errors import InvalidImageError
from minipod.images.layer_paths import split_name
from minipod.images.oci import Descriptor, Manifest, Platform
from minipod.images.tar import TarReader
from minipod.images.workshop import Workshop

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELLS = ((b"bin", b"sh"), (b"usr", b"bin", b"sh"))


@dataclass(frozen=True, slots=True)
class _Rootfs:
    diff_id: str
    compression: Compression
    has_shell: bool


def build_image(workshop: Workshop, source: Source | Path, config: Mapping[str, Any] | None) -> Descriptor:
    """Prepare the image in the workshop; returns its manifest's descriptor. The same input gives the same digests.

    `source` is a tar (plain, gzip or zstd) or a directory, `config` the image's config object; without one it gets
    the usual PATH, and a shell to run if it has one. Raises InvalidImageError, UnsupportedImageError, OSError.
    """
    blobs = workshop.blobs
    if isinstance(source, Path):
        from minipod.images.pack import pack_directory  # tarfile costs memory that a daemon rarely needs

        with blobs.writer() as writer:
            pack_directory(source, cast(BinaryIO, writer))
        blob = writer.descriptor
    else:
        blob = blobs.add(source)
    rootfs = _examine(blobs.path(blob.digest), workshop.checkpoint)
    if config is None:
        config = {"Env": [PATH], **({"Cmd": ["/bin/sh"]} if rootfs.has_shell else {})}
    configuration = blobs.add_document(_configuration(rootfs.diff_id, config, workshop.host), oci.CONFIG)
    layer = Descriptor(media_type=layer_media_type(rootfs.compression), digest=blob.digest, size=blob.size)
    manifest = Manifest(schema_version=2, media_type=oci.MANIFEST, config=configuration, layers=[layer])
    target = blobs.add_document(oci.encode(manifest), oci.MANIFEST)
    workshop.prepare(target)
    return target


def _examine(path: Path, checkpoint: Callable[[], None]) -> _Rootfs:
    """Nobody promised a digest for this tar, so it has to look whole by itself."""
    count, has_shell = 0, False
    with path.open("rb") as file:
        plain = DecompressingReader(file)
        stream = cast(BinaryIO, io.BufferedReader(plain, CHUNK))
        reader = TarReader(stream)
        while (entry := reader.next()) is not None:
            checkpoint()
            count += 1
            has_shell = has_shell or split_name(entry.name) in _SHELLS
        if not count:
            raise InvalidImageError("the root file system is empty")
        if not reader.marked_end:
            raise InvalidImageError("truncated: the archive has no end marker")
        while stream.read(CHUNK):
            checkpoint()
    return _Rootfs(plain.digest, plain.compression, has_shell)


def _configuration(diff_id: str, config: Mapping[str, Any], host: Platform) -> bytes:
    return oci.encode(
        {
            "architecture": host.architecture,
            "os": host.os,
            **({"variant": host.variant} if host.variant else {}),
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
    )
