"""The OCI image format's JSON documents, read strictly: sizes, types, digests and media types are all checked.

https://github.com/opencontainers/image-spec; Docker's schema 2 documents differ in media types only and are read too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from minipod.images.errors import InvalidImageError, UnsupportedImageError

DOCUMENT_MAX = 4 * 1024 * 1024
"""Bytes of an index, manifest or configuration; registries set the same limit for manifests."""
LAYERS_MAX = 500
"""Lower layers overlayfs takes (OVL_MAX_STACK)."""
DESCRIPTORS_MAX = 10_000

LAYOUT_VERSION = "1.0.0"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
INDEX_TYPES = (INDEX, DOCKER_INDEX)
MANIFEST_TYPES = (MANIFEST, DOCKER_MANIFEST)

REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"

_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_LAYER_TYPES = re.compile(
    r"application/vnd\."
    r"(oci\.image\.layer\.(nondistributable\.)?v1\.tar|docker\.image\.rootfs\.(diff|foreign\.diff)\.tar)"
    r"([.+](gzip|zstd))?"
)


class Platform(msgspec.Struct, frozen=True):
    architecture: str = ""
    os: str = ""
    variant: str | None = None

    def __str__(self) -> str:
        variant = f"/{self.variant}" if self.variant else ""
        return f"{self.os or 'unknown'}/{self.architecture or 'unknown'}{variant}"


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A reference to a blob: what it is, its digest and its length in bytes."""

    media_type: str = ""
    digest: str
    size: int
    annotations: dict[str, str] | None = None
    platform: Platform | None = None


class Index(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    schema_version: int
    media_type: str = ""
    manifests: list[Descriptor] | None = None


class Manifest(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    schema_version: int
    media_type: str = ""
    config: Descriptor
    layers: list[Descriptor] | None = None


class RootFS(msgspec.Struct):
    type: str
    diff_ids: list[str] | None = None


class ContainerConfig(msgspec.Struct, rename="pascal"):
    """The `config` object's keys that are acted on, for their types."""

    user: str | None = None
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    working_dir: str | None = None
    stop_signal: str | None = None
    volumes: dict[str, Any] | None = None
    exposed_ports: dict[str, Any] | None = None
    labels: dict[str, str | None] | None = None


class Configuration(msgspec.Struct):
    """An image configuration. `config` is checked as a ContainerConfig and kept with every key it has."""

    rootfs: RootFS
    architecture: str = ""
    os: str = ""
    variant: str | None = None
    created: str | None = None
    config: dict[str, Any] | None = None


_T = TypeVar("_T", Index, Manifest, Configuration)


def parse_index(data: bytes, what: str = "index.json") -> Index:
    """Raises InvalidImageError, naming the document as `what` and the key that is wrong."""
    index = _decode(data, Index, what)
    _check_schema(index.schema_version, what)
    _check_one_kind(data, ("config", "layers"), what)
    for i, descriptor in enumerate(_limited(index.manifests, DESCRIPTORS_MAX, f"{what}: manifests")):
        check_descriptor(descriptor, f"{what}: manifests[{i}]")
    return index


def parse_manifest(data: bytes, what: str) -> Manifest:
    """Raises InvalidImageError; UnsupportedImageError for a manifest of something that is no container image."""
    manifest = _decode(data, Manifest, what)
    _check_schema(manifest.schema_version, what)
    _check_one_kind(data, ("manifests",), what)
    check_descriptor(manifest.config, f"{what}: config")
    if manifest.config.media_type not in ("", CONFIG, DOCKER_CONFIG):
        raise UnsupportedImageError(
            f"{what}: it is no container image: its configuration is of type {manifest.config.media_type!r}"
        )
    for i, layer in enumerate(_limited(manifest.layers, LAYERS_MAX, f"{what}: layers")):
        check_descriptor(layer, f"{what}: layers[{i}]")
        if layer.media_type and not _LAYER_TYPES.fullmatch(layer.media_type):
            raise UnsupportedImageError(
                f"{what}: layers[{i}] is of type {layer.media_type!r}, which is not supported"
            )
    if not manifest.layers:
        raise UnsupportedImageError(f"{what}: an image without layers cannot be run")
    return manifest


def parse_configuration(data: bytes, what: str) -> Configuration:
    """Raises InvalidImageError."""
    configuration = _decode(data, Configuration, what)
    for i, diff_id in enumerate(
        _limited(configuration.rootfs.diff_ids, LAYERS_MAX, f"{what}: rootfs.diff_ids")
    ):
        check_digest(diff_id, f"{what}: rootfs.diff_ids[{i}]")
    config = {k: v for k, v in (configuration.config or {}).items() if v is not None}
    try:
        msgspec.convert(config, ContainerConfig)
    except msgspec.ValidationError as error:
        raise InvalidImageError(f"{what}: config: {_readable(error)}") from error
    for key in ("User", "WorkingDir", "StopSignal", "Env", "Entrypoint", "Cmd"):
        if any("\0" in text for text in _texts(config.get(key))):
            raise InvalidImageError(f"{what}: config.{key} has a NUL character in it")
    configuration.config = config
    return configuration


def check_descriptor(descriptor: Descriptor, what: str) -> None:
    """Raise InvalidImageError unless digest and size can be true."""
    check_digest(descriptor.digest, f"{what}: digest")
    if not 0 <= descriptor.size < 2**62:
        raise InvalidImageError(f"{what}: size is {descriptor.size}")


def check_digest(digest: str, what: str) -> None:
    """Raise InvalidImageError for what is no digest, UnsupportedImageError for one of another algorithm."""
    if _SHA256.fullmatch(digest):
        return
    algorithm = digest.partition(":")[0]
    if algorithm == "sha256" or not _DIGEST.fullmatch(digest):
        raise InvalidImageError(f"{what} is {digest[:200]!r}, expected sha256: and 64 lower-case hex digits")
    raise UnsupportedImageError(f"{what} uses {algorithm[:50]}; only sha256 is supported")


def plain(descriptor: Descriptor) -> Descriptor:
    """What is referred to, without what was said about it."""
    return Descriptor(media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """One name for each layer together with all below it, lowest first (image-spec, config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain


def created_us(configuration: Configuration) -> int:
    """When the image was built, in microseconds since the epoch; 0 when it does not say, or says nonsense."""
    try:
        created = datetime.fromisoformat(configuration.created or "")
        return max(0, round(created.timestamp() * 1_000_000)) if created.tzinfo else 0
    except (ValueError, OverflowError):
        return 0


def encode(document: msgspec.Struct | Mapping[str, Any]) -> bytes:
    """The same document always gives the same bytes, hence the same digest."""
    return msgspec.json.encode(document, order="deterministic")


def _decode(data: bytes, type_: type[_T], what: str) -> _T:
    if len(data) > DOCUMENT_MAX:
        raise InvalidImageError(f"{what} has {len(data)} bytes; the limit is {DOCUMENT_MAX}")
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidImageError(f"{what}: {_readable(error)}") from error
    except RecursionError as error:
        raise InvalidImageError(f"{what}: JSON nested too deeply") from error


def _readable(error: Exception) -> str:
    return str(error).replace(" - at `$.", " at `").replace("`$", "`")


def _check_schema(version: int, what: str) -> None:
    if version != 2:
        raise UnsupportedImageError(f"{what}: schemaVersion is {version}; only 2 is supported")


def _check_one_kind(data: bytes, foreign: Sequence[str], what: str) -> None:
    """A document that reads as a manifest and as an index means different images to different readers."""
    present = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    for key in foreign:
        if key in present:
            raise InvalidImageError(f"{what}: {key} does not belong in this kind of document")


def _limited(items: list[Any] | None, limit: int, what: str) -> list[Any]:
    if items is not None and len(items) > limit:
        raise InvalidImageError(f"{what} has {len(items)} entries; the limit is {limit}")
    return items or []


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value or []
