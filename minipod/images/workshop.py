"""Where images are prepared before they are published: blobs and layers in a directory of their own. Blocking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from minipod.images import oci
from minipod.images.compression import CHUNK, DecompressingReader
from minipod.images.content import Content, read_content
from minipod.images.errors import ImageError, InvalidImageError
from minipod.images.layers import LayerDirectory, LayerInfo
from minipod.images.layout import BlobDirectory
from minipod.images.oci import Descriptor, Platform
from minipod.images.unpack import unpack_layer


class Workshop:
    """`finished` are the store's layers: they are looked at, and not made again. `checkpoint` may raise at any time."""

    def __init__(
        self, place: Path, finished: LayerDirectory, host: Platform, checkpoint: Callable[[], None]
    ) -> None:
        self.host = host
        self.checkpoint = checkpoint
        self.place = place
        self.blobs = BlobDirectory(place / "blobs")
        self.layers = LayerDirectory(place / "layers", place)
        self.contents: list[Content] = []
        self._finished = finished
        self.blobs.directory.mkdir(parents=True)
        self.layers.directory.mkdir()

    def prepare(self, target: Descriptor, blobs: BlobDirectory | None = None) -> Content:
        """Read an image from blobs (this workshop's own by default), check all of it and unpack its layers.

        Raises InvalidImageError, UnsupportedImageError, OSError.
        """
        source = blobs or self.blobs
        content = read_content(target, source.read, self.host)
        below: list[Path] = []
        chains = oci.chain_ids(content.diff_ids)
        for layer, diff_id, chain in zip(content.layers, content.diff_ids, chains, strict=True):
            what = f"layer {layer.digest}"
            source.size(layer, what)
            try:
                below.insert(0, self._layer(source.path(layer.digest), layer.digest, diff_id, chain, below))
            except ImageError as error:
                raise type(error)(f"{what}: {error}") from error
        self.contents.append(content)
        return content

    def _layer(self, blob: Path, digest: str, diff_id: str, chain: str, below: list[Path]) -> Path:
        for place in (self._finished, self.layers):
            if place.info(chain):
                self._check_diff_id(blob, digest, diff_id)
                return self._finished.tree(chain) if place is self._finished else place.tree(chain)
        tree = self.layers.begin(chain)
        with blob.open("rb") as file:
            unpacked = unpack_layer(file, tree, below, diff_id=diff_id, checkpoint=self.checkpoint)
        self.layers.complete(chain, LayerInfo(diff_id=diff_id, size=unpacked.size))
        return tree

    def _check_diff_id(self, blob: Path, digest: str, diff_id: str) -> None:
        """A layer that is here already is not unpacked again, but the blob must be that layer nevertheless."""
        if digest == diff_id:
            return
        with blob.open("rb") as file:
            plain = DecompressingReader(file)
            while plain.read(CHUNK):
                self.checkpoint()
        if plain.digest != diff_id:
            raise InvalidImageError(f"its content has the digest {plain.digest}, expected {diff_id}")
