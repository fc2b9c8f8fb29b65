"""The image store: an OCI layout with every layer also unpacked, one directory, one writer.

    root/oci-layout, index.json, blobs/sha256/<hex>     https://github.com/opencontainers/image-spec/blob/main/image-layout.md
    root/layers/<chain id hex>/fs                       an overlay lowerdir, shared by all images that have it
    root/tmp/                                           work in progress; emptied at start

An image is there once index.json names it, and index.json is written last: whatever fails or is killed before leaves
no image. The index is also kept in memory, so that looking an image up touches no disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from minipod.images.types import Image

Images: TypeAlias = list[Image]


class ImageStore:
    """The images of this node. All methods belong to one event loop; disk work runs in a thread of the store's own.

    `root` is made if it is missing, readable by root only: setuid programs of images must be out of users' reach.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def start(self) -> None:
        """Throw away unfinished work and read the index. Raises ImageStoreError when the directory is unusable."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Let the work in hand finish and end the thread."""
        raise NotImplementedError

    def resolve(self, name: str) -> Image | None:
        """The image of that name as users write it ("busybox", "minipod/base:1", "repo@sha256:...", "sha256:...").

        None when there is none and when the text is no image name (see reference.parse for the reason).
        """
        raise NotImplementedError

    def list(self) -> Images:
        """All images, by name."""
        raise NotImplementedError

    async def import_archive(self, source: Path | AsyncIterable[bytes], *, name: str = "") -> Images:
        """Take in a docker-save or OCI archive (plain, gzip or zstd), whole or not at all.

        `name` overrides the name in an archive of one image. Raises InvalidImageError, UnsupportedImageError,
        InvalidReferenceError, ImageStoreError.
        """
        raise NotImplementedError

    async def build_rootfs(
        self, source: Path | AsyncIterable[bytes], name: str, *, config: Mapping[str, Any] | None = None
    ) -> Image:
        """Make a one-layer image out of a root file system: a directory, or a tar (plain, gzip or zstd).

        `config` is the image's config object (Cmd, Env, ...). Raises as import_archive does.
        """
        raise NotImplementedError

    async def remove(self, name: str, in_use: Collection[Path] = ()) -> Image:
        """Take a name away; an image without names goes with its blobs and unshared layers.

        A digest, an ID or an unambiguous start of an ID takes the whole image. Layers in `in_use` (paths as in
        Image.layers) stay on disk until a later collect. Returns the image as it was; raises ImageNotFoundError.
        """
        raise NotImplementedError

    async def collect(self, in_use: Collection[Path] = ()) -> int:
        """Delete blobs and layers that no image has and nothing in `in_use` needs; returns the bytes freed."""
        raise NotImplementedError

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, in the loop, after images came or went. Returns the way to unsubscribe."""
        raise NotImplementedError
