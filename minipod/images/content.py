"""From the descriptor of an image to what has to be unpacked: index, platform, manifest, configuration.

The same reading serves archives on their way in and the store's own layout at start. Where blobs come from is the
caller's matter; that they are what their descriptors say is checked by whoever reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from minipod.images import oci
from minipod.images.errors import InvalidImageError, UnsupportedImageError
from minipod.images.oci import Configuration, Descriptor, Manifest, Platform

INDEX_DEPTH_MAX = 3

ReadDocument: TypeAlias = Callable[[Descriptor, str], bytes]
"""Gives the bytes of a descriptor's blob, sized and hashed as it says; the text names it in errors."""

_MACHINES = {
    "x86_64": Platform("amd64", "linux"),
    "aarch64": Platform("arm64", "linux", "v8"),
    "armv7l": Platform("arm", "linux", "v7"),
    "armv6l": Platform("arm", "linux", "v6"),
    "i686": Platform("386", "linux"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """An image read down to its configuration."""

    target: Descriptor
    documents: tuple[Descriptor, ...]
    """What was read on the way, the target first, the manifest last."""
    manifest: Manifest
    configuration: Configuration

    @property
    def layers(self) -> Sequence[Descriptor]:
        return self.manifest.layers or ()

    @property
    def diff_ids(self) -> Sequence[str]:
        return self.configuration.rootfs.diff_ids or ()

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Everything the image consists of."""
        return (*self.documents, self.manifest.config, *self.layers)


def host_platform() -> Platform:
    """What images for this machine say of themselves (Go's GOOS/GOARCH)."""
    machine = os.uname().machine
    return _MACHINES.get(machine, Platform(machine, "linux"))


def read_content(target: Descriptor, read: ReadDocument, host: Platform) -> Content:
    """Follow `target` to the manifest for this host. Raises InvalidImageError, UnsupportedImageError."""
    documents: list[Descriptor] = []
    descriptor = target
    while descriptor.media_type in oci.INDEX_TYPES:
        if len(documents) == INDEX_DEPTH_MAX:
            raise InvalidImageError(f"indexes nested more than {INDEX_DEPTH_MAX} deep")
        documents.append(descriptor)
        what = f"index {descriptor.digest}"
        index = oci.parse_index(read(descriptor, what), what)
        _check_kind(index.media_type, descriptor, what)
        descriptor = choose(index.manifests or (), host)
    if descriptor.media_type not in oci.MANIFEST_TYPES:
        raise UnsupportedImageError(
            f"{descriptor.digest} is of type {descriptor.media_type!r}, expected an image manifest or index"
        )
    documents.append(descriptor)
    what = f"manifest {descriptor.digest}"
    manifest = oci.parse_manifest(read(descriptor, what), what)
    _check_kind(manifest.media_type, descriptor, what)
    what = f"image configuration {manifest.config.digest}"
    configuration = oci.parse_configuration(read(manifest.config, what), what)
    _check_configuration(configuration, manifest, host, what)
    return Content(target=target, documents=tuple(documents), manifest=manifest, configuration=configuration)


def choose(descriptors: Sequence[Descriptor], host: Platform) -> Descriptor:
    """The one that fits this host best. Raises UnsupportedImageError that names the platforms there are."""
    fitting = [d for d in descriptors if d.platform is None or _fits(d.platform, host)]
    if not fitting:
        there = sorted({str(d.platform) for d in descriptors if d.platform and d.platform.os != "unknown"})
        raise UnsupportedImageError(f"no image for {host}; there is {', '.join(there) or 'none at all'}")
    return max(fitting, key=lambda d: _preference(d.platform, host))


def _fits(platform: Platform, host: Platform) -> bool:
    if (platform.os, platform.architecture) != (host.os, host.architecture):
        return False
    # A newer variant's instructions may be missing here; v7 runs what was built for v6.
    return not platform.variant or platform.variant <= (host.variant or "v1")


def _preference(platform: Platform | None, host: Platform) -> tuple[int, str]:
    """The host's own variant, then the newest older one, then one without, then one that does not say."""
    if platform is None:
        return (0, "")
    return (2 if platform.variant == host.variant else 1, platform.variant or "")


def _check_kind(media_type: str, descriptor: Descriptor, what: str) -> None:
    if media_type and media_type != descriptor.media_type:
        raise InvalidImageError(
            f"{what} says it is {media_type!r}, its descriptor {descriptor.media_type!r}"
        )


def _check_configuration(
    configuration: Configuration, manifest: Manifest, host: Platform, what: str
) -> None:
    platform = Platform(configuration.architecture, configuration.os, configuration.variant)
    if (platform.os and platform.os != host.os) or (
        platform.architecture and platform.architecture != host.architecture
    ):
        raise UnsupportedImageError(f"the image is for {platform}, this machine is {host}")
    layers, diff_ids = len(manifest.layers or ()), len(configuration.rootfs.diff_ids or ())
    if layers != diff_ids:
        raise InvalidImageError(
            f"{what}: rootfs.diff_ids has {diff_ids} entries, the manifest has {layers} layers"
        )
