"""An OCI image layout on disk: blobs by digest, and index.json that names the images. Blocking.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from minipod.images import oci
from minipod.images.compression import CHUNK, Source
from minipod.images.errors import InvalidImageError
from minipod.images.oci import Descriptor, Index
from minipod.linux.replace_file import replace_file

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_LEFTOVER = "io.minipod.image.leftover"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the index: a full image name ("" for an image without one) and what it stands for.

    A leftover has lost its name to another image, or to a removal while it was in use: it stays for those who still
    use it.
    """

    name: str
    target: Descriptor
    leftover: bool = False


class BlobWriter(io.RawIOBase):
    """Counts and hashes what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        self._hash.update(data)
        written = self._file.write(data)
        self._size += written
        return written

    @property
    def descriptor(self) -> Descriptor:
        """Of what was written so far, without a media type."""
        return Descriptor(digest=f"sha256:{self._hash.hexdigest()}", size=self._size)


class BlobDirectory:
    """Blobs in one directory, named by the hex digits of their SHA-256."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, digest: str) -> Path:
        """Where the blob is or would be. The digest has been checked to be a sha256 one."""
        return self.directory / digest.removeprefix("sha256:")

    @contextlib.contextmanager
    def writer(self) -> Iterator[BlobWriter]:
        """A file to write a blob into; its descriptor is known at the end of the block, which puts it in its place."""
        unfinished = self.directory / ".incoming"
        with unfinished.open("wb") as file:
            writer = BlobWriter(file)
            yield writer
        unfinished.rename(self.path(writer.descriptor.digest))

    def add(self, source: Source) -> Descriptor:
        """Take in all the source gives; the descriptor has no media type yet."""
        with self.writer() as writer:
            while piece := source.read(CHUNK):
                writer.write(piece)
        return writer.descriptor

    def add_document(self, data: bytes, media_type: str) -> Descriptor:
        digest = oci.digest_of(data)
        self.path(digest).write_bytes(data)
        return Descriptor(media_type=media_type, digest=digest, size=len(data))

    def size(self, descriptor: Descriptor, what: str) -> int:
        """Check that the blob is there and as long as its descriptor says. Raises InvalidImageError."""
        try:
            size = self.path(descriptor.digest).stat().st_size
        except FileNotFoundError:
            raise InvalidImageError(f"{what}: the blob {descriptor.digest} is missing") from None
        if size != descriptor.size:
            raise InvalidImageError(f"{what}: it has {size} bytes, its descriptor says {descriptor.size}")
        return size

    def read(self, descriptor: Descriptor, what: str) -> bytes:
        """A small blob (a content.ReadDocument). Raises InvalidImageError when it is not what it should be."""
        if self.size(descriptor, what) > oci.DOCUMENT_MAX:
            raise InvalidImageError(f"{what} has {descriptor.size} bytes; the limit is {oci.DOCUMENT_MAX}")
        data = self.path(descriptor.digest).read_bytes()
        if oci.digest_of(data) != descriptor.digest:
            raise InvalidImageError(f"{what}: its content has another digest")
        return data

    def digests(self) -> Iterator[str]:
        """Of all blobs there are."""
        for path in self.directory.iterdir():
            if len(path.name) == 64:
                yield f"sha256:{path.name}"


class Layout:
    """The layout below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = BlobDirectory(root / "blobs" / "sha256")
        self._index = root / "index.json"

    def create(self) -> None:
        """Make what is missing."""
        self.blobs.directory.mkdir(parents=True, exist_ok=True)
        version = self.root / "oci-layout"
        if not version.exists():
            replace_file(
                version, oci.encode({"imageLayoutVersion": oci.LAYOUT_VERSION}), mode=0o644, durable=True
            )
        if not self._index.exists():
            self.write_index([])

    def read_index(self) -> list[Record]:
        """Raises InvalidImageError when index.json is damaged."""
        index = oci.parse_index(self._index.read_bytes(), str(self._index))
        return [_record(d) for d in index.manifests or ()]

    def write_index(self, records: Sequence[Record]) -> None:
        """Replace index.json in one step. When this returns it is on the disk."""
        descriptors = [_described(r) for r in sorted(records, key=lambda r: (r.name, r.target.digest))]
        index = Index(schema_version=2, media_type=oci.INDEX, manifests=descriptors)
        replace_file(self._index, oci.encode(index), mode=0o644, durable=True)


def _record(descriptor: Descriptor) -> Record:
    annotations = descriptor.annotations or {}
    return Record(annotations.get(oci.IMAGE_NAME, ""), oci.plain(descriptor), _LEFTOVER in annotations)


def _described(record: Record) -> Descriptor:
    annotations = {oci.IMAGE_NAME: record.name, oci.REF_NAME: record.name} if record.name else {}
    if record.leftover:
        annotations[_LEFTOVER] = "true"
    target = record.target
    return Descriptor(
        media_type=target.media_type, digest=target.digest, size=target.size, annotations=annotations or None
    )
