"""Reading image archives: OCI archives, and what `docker save` writes, old and new.

The archive is read once, forwards: every file becomes a blob named by what it hashes to, so that nothing an archive
says about digests is believed. What the files mean is looked at only when all of them are there.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, cast

import msgspec

from minipod.images import oci, reference
from minipod.images.compression import CHUNK, Compression, DecompressingReader, Source, detect
from minipod.images.content import choose
from minipod.images.errors import ImageError, InvalidImageError, InvalidReferenceError, UnsupportedImageError
from minipod.images.layer_paths import split_name
from minipod.images.layout import BlobDirectory
from minipod.images.oci import Descriptor, Manifest, Platform
from minipod.images.tar import TarReader
from minipod.images.tar_header import EntryType, TarEntry, printable

FILES_MAX = 100_000
LINKS_MAX = 10
TRAILER_MAX = 64 * 1024 * 1024
"""Bytes after the end marker; tar pads with a few kilobytes of zeros."""

_HEX64 = re.compile(r"[0-9a-f]{64}")
_BLOBS = "blobs/sha256/"


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One image of an archive: its full names and the manifest or index it starts from."""

    names: tuple[str, ...]
    target: Descriptor


class _DockerImage(msgspec.Struct, rename="pascal"):
    """An entry of docker save's manifest.json."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] | None = None


class _LayoutVersion(msgspec.Struct, rename="camel"):
    image_layout_version: str


@dataclass(slots=True)
class _Archive:
    blobs: BlobDirectory
    files: dict[str, Descriptor] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def find(self, path: str) -> Descriptor | None:
        """The file of that name, through links within the archive (docker save writes equal layers so)."""
        for _ in range(LINKS_MAX):
            if path in self.files or path not in self.links:
                break
            path = self.links[path]
        return self.files.get(path)

    def document(self, path: str) -> bytes | None:
        found = self.find(path)
        return self.blobs.read(found, path) if found else None


def read_archive(
    source: Source, blobs: BlobDirectory, host: Platform, checkpoint: Callable[[], None] = lambda: None
) -> list[ArchivedImage]:
    """Take an archive's files into `blobs` and say which images they are.

    `checkpoint` is called between files and may raise. Raises InvalidImageError, UnsupportedImageError, OSError.
    """
    archive = _Archive(blobs)
    plain = DecompressingReader(source)
    with cast(BinaryIO, io.BufferedReader(plain, CHUNK)) as stream:
        reader = TarReader(stream)
        while (entry := reader.next()) is not None:
            checkpoint()
            _take(archive, reader, entry)
        _drain(stream, checkpoint)
    if "index.json" in archive.files:
        return _oci_images(archive, host)
    if "manifest.json" in archive.files:
        return _docker_images(archive)
    raise InvalidImageError(
        "it is no image archive: it has neither index.json nor manifest.json"
        " (a root file system becomes an image with `minipod image build-rootfs`)"
    )


def _take(archive: _Archive, reader: TarReader, entry: TarEntry) -> None:
    try:
        path = b"/".join(split_name(entry.name)).decode()
        if len(archive.files) + len(archive.links) >= FILES_MAX:
            raise InvalidImageError(f"the archive has more than {FILES_MAX} files")
        if entry.type is EntryType.FILE:
            if sum(length for _, length in entry.extents) != entry.size:
                raise UnsupportedImageError("sparse files are supported in layers only")
            archive.files[path] = archive.blobs.add(reader)
        elif entry.type is EntryType.SYMLINK:
            archive.links[path] = posixpath.normpath(
                posixpath.join(posixpath.dirname(path), entry.link.decode())
            )
        elif entry.type is EntryType.HARDLINK:
            archive.links[path] = posixpath.normpath(entry.link.decode())
    except UnicodeDecodeError as error:
        raise InvalidImageError(f"file {printable(entry.name)}: its name is not UTF-8") from error
    except ImageError as error:
        raise type(error)(f"file {printable(entry.name)}: {error}") from error


def _drain(stream: BinaryIO, checkpoint: Callable[[], None]) -> None:
    """A compressed archive proves whole only at its very end."""
    rest = 0
    while piece := stream.read(CHUNK):
        checkpoint()
        rest += len(piece)
        if rest > TRAILER_MAX:
            raise InvalidImageError("the archive goes on after its end")


# -- OCI -----------------------------------------------------------------------------------------------------------


def _oci_images(archive: _Archive, host: Platform) -> list[ArchivedImage]:
    _check_layout(archive.document("oci-layout"))
    for path, found in archive.files.items():
        if path.startswith(_BLOBS) and path != _BLOBS + found.digest.removeprefix("sha256:"):
            raise InvalidImageError(f"{path}: its content has the digest {found.digest}")
    index = oci.parse_index(archive.document("index.json") or b"")
    groups: dict[str, list[Descriptor]] = {}
    for descriptor in index.manifests or ():
        groups.setdefault(_name(descriptor), []).append(descriptor)
    nameless = groups.pop("", [])
    if nameless and all(d.platform for d in nameless):
        groups[""] = nameless  # one image for several platforms
        nameless = []
    images = [ArchivedImage((name,) if name else (), choose(group, host)) for name, group in groups.items()]
    images += [ArchivedImage((), descriptor) for descriptor in nameless]
    if not images:
        raise InvalidImageError("index.json names no images")
    return _by_target(images)


def _check_layout(data: bytes | None) -> None:
    if data is None:
        raise InvalidImageError("it is no image archive: it has index.json, but no oci-layout")
    try:
        version = msgspec.json.decode(data, type=_LayoutVersion).image_layout_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidImageError(f"oci-layout: {error}") from error
    if not version.startswith("1."):
        raise UnsupportedImageError(f"oci-layout: version {version[:50]!r} is not supported, expected 1.x")


def _name(descriptor: Descriptor) -> str:
    """The full name in the annotations: containerd's, which is whole, before the specification's."""
    annotations = descriptor.annotations or {}
    for key in (oci.IMAGE_NAME, oci.REF_NAME):
        if text := annotations.get(key):
            try:
                return str(reference.parse(text))
            except InvalidReferenceError:
                continue  # the specification lets ref.name be any word
    return ""


def _by_target(images: Iterable[ArchivedImage]) -> list[ArchivedImage]:
    names: dict[str, set[str]] = {}
    targets: dict[str, Descriptor] = {}
    for image in images:
        targets[image.target.digest] = image.target
        names.setdefault(image.target.digest, set()).update(image.names)
    return [ArchivedImage(tuple(sorted(names[digest])), target) for digest, target in targets.items()]


# -- docker save -----------------------------------------------------------------------------------------------------


def _docker_images(archive: _Archive) -> list[ArchivedImage]:
    data = archive.document("manifest.json") or b""
    try:
        listed = msgspec.json.decode(data, type=list[_DockerImage])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidImageError(f"manifest.json: {error}") from error
    if not listed:
        raise InvalidImageError("manifest.json names no images")
    images = [_docker_image(archive, image, f"manifest.json: [{i}]") for i, image in enumerate(listed)]
    return _by_target(images)


def _docker_image(archive: _Archive, image: _DockerImage, what: str) -> ArchivedImage:
    """Docker's listing as an OCI manifest: the configuration has the same form, its digest is the image's ID."""
    config = _listed(archive, image.config, f"{what}.Config")
    claimed = posixpath.basename(image.config).removesuffix(".json")
    if _HEX64.fullmatch(claimed) and config.digest != f"sha256:{claimed}":
        raise InvalidImageError(f"{image.config}: its content has the digest {config.digest}")
    layers = [_listed(archive, p, f"{what}.Layers[{i}]") for i, p in enumerate(image.layers or ())]
    manifest = Manifest(
        schema_version=2,
        media_type=oci.MANIFEST,
        config=_typed(config, oci.CONFIG),
        layers=[_typed(layer, _layer_type(archive.blobs, layer)) for layer in layers],
    )
    target = archive.blobs.add_document(oci.encode(manifest), oci.MANIFEST)
    return ArchivedImage(_docker_names(image.repo_tags or (), what), target)


def _listed(archive: _Archive, path: str, what: str) -> Descriptor:
    found = archive.find(posixpath.normpath(path))
    if found is None:
        raise InvalidImageError(f"{what} is {path[:200]!r}, which the archive does not have")
    return found


def _docker_names(tags: Sequence[str], what: str) -> tuple[str, ...]:
    try:
        return tuple(str(reference.parse(tag)) for tag in tags)
    except InvalidReferenceError as error:
        raise InvalidImageError(f"{what}.RepoTags: {error}") from error


def _typed(descriptor: Descriptor, media_type: str) -> Descriptor:
    return Descriptor(media_type=media_type, digest=descriptor.digest, size=descriptor.size)


def _layer_type(blobs: BlobDirectory, layer: Descriptor) -> str:
    with blobs.path(layer.digest).open("rb") as file:
        compression = detect(file.read(8))
    return layer_media_type(compression)


def layer_media_type(compression: Compression) -> str:
    return f"{oci.LAYER}+{compression}" if compression else oci.LAYER
