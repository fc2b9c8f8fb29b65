"""The image store on disk. Blocking, for one thread at a time; store.py gives it to the event loop.

    root/oci-layout, index.json, blobs/sha256/<hex>     an OCI layout
    root/layers/<chain ID hex>/fs, layer.json           unpacked layers
    root/tmp/                                           work in progress; emptied at start

Work is done below tmp/ and published by renames, index.json last: until then no image is there, and whatever was
published for it is taken back when a later step fails.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from minipod.images import oci
from minipod.images.catalog import Catalog, Entry, Removal, merge, same, tidy
from minipod.images.content import Content, host_platform, read_content
from minipod.images.errors import ImageError, ImageStoreError
from minipod.images.layers import LayerDirectory
from minipod.images.layout import Layout, Record
from minipod.images.oci import Descriptor, Platform
from minipod.images.types import Image
from minipod.images.workshop import Workshop
from minipod.linux.replace_file import sync_directory
from minipod.linux.syncfs import syncfs
from minipod.linux.tree import remove_tree

log = logging.getLogger(__name__)


class ImageDirectory:
    """The images below `root`. Every method leaves the directory as it was when it raises."""

    def __init__(self, root: Path, host: Platform | None = None) -> None:
        self.root = root
        self.host = host or host_platform()
        self.layout = Layout(root)
        self._tmp = root / "tmp"
        self.layers = LayerDirectory(root / "layers", self._tmp)
        self.catalog = Catalog((), {})

    def open(self) -> None:
        """Make the directory, throw away unfinished work, read what is there. Raises ImageStoreError."""
        with storage_errors("open the image store", self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)  # images have setuid programs; the host's users must not reach them
            remove_tree(self._tmp)
            self._tmp.mkdir()
            self.layers.directory.mkdir(exist_ok=True)
            self.layout.create()
            try:
                records = self.layout.read_index()
            except ImageError as error:
                raise ImageStoreError(f"{error} (move it away to start anew)") from error
            entries = self._load(records)
        self.catalog = Catalog([r for r in records if r.target.digest in entries], entries)

    @contextlib.contextmanager
    def workshop(self, checkpoint: Callable[[], None]) -> Iterator[Workshop]:
        """A place to prepare images in; it is gone afterwards, whatever happens."""
        place = self._tmp / secrets.token_hex(8)
        try:
            yield Workshop(place, self.layers, self.host, checkpoint)
        finally:
            remove_tree(place)

    def publish(self, workshop: Workshop, records: Sequence[Record]) -> list[Image]:
        """Make prepared images part of the store, all or none."""
        contents = {c.target.digest: c for c in workshop.contents}
        published = _Published(self)
        try:
            self._sync()  # what lies under its final name is always whole, even after a power cut
            for content in contents.values():
                published.take(workshop, content)
            sync_directory(self.layout.blobs.directory)
            sync_directory(self.layers.directory)
            merged = merge(self.catalog.records, records, self._ids(contents))
            entries = self._entries(merged, contents)
            self.layout.write_index(merged)
        except BaseException:
            published.take_back()
            raise
        self.catalog = Catalog(merged, entries)
        return [entries[digest].image for digest in contents]

    def remove(self, name: str, in_use: Collection[Path]) -> Removal:
        """See ImageStore.remove."""
        removal = self.catalog.removal(name)
        kept = [r for r in self.catalog.records if r not in removal.records]
        with storage_errors(f'remove image "{name}"', self.root):
            leftover = Record("", removal.records[0].target, leftover=True)
            self._rewrite(tidy([*kept, leftover], self._ids({})))
        try:
            self._collect(in_use)
        except OSError as error:
            log.warning("image %s is removed, but not all of its files: %s", name, error)
        return removal

    def collect(self, in_use: Collection[Path]) -> int:
        """See ImageStore.collect."""
        with storage_errors("collect garbage", self.root):
            return self._collect(in_use)

    def _ids(self, fresh: Mapping[str, Content]) -> dict[str, str]:
        """Image IDs by the digest of the target."""
        contents = {digest: entry.content for digest, entry in self.catalog.entries.items()} | dict(fresh)
        return {digest: content.manifest.config.digest for digest, content in contents.items()}

    def _rewrite(self, records: Sequence[Record]) -> None:
        if not same(records, self.catalog.records):
            entries = self._entries(records, {})
            self.layout.write_index(records)
            self.catalog = Catalog(records, entries)

    def _collect(self, in_use: Collection[Path]) -> int:
        """First the leftovers that nobody uses any more, then what no image has."""
        entries = self.catalog.entries
        self._rewrite(
            [
                r
                for r in self.catalog.records
                if not r.leftover or entries[r.target.digest].image.layers[0] in in_use
            ]
        )
        contents = [entry.content for entry in self.catalog.entries.values()]
        blobs = {d.digest for content in contents for d in content.blobs}
        chains = {chain for content in contents for chain in oci.chain_ids(content.diff_ids)}
        freed = 0
        for chain in [c for c in self.layers.chain_ids() if c not in chains]:
            if self.layers.tree(chain) not in in_use:
                info = self.layers.info(chain)
                self.layers.delete(chain)
                freed += info.size if info else 0
        for digest in [d for d in self.layout.blobs.digests() if d not in blobs]:
            path = self.layout.blobs.path(digest)
            freed += path.stat().st_size
            path.unlink()
        return freed

    def _sync(self) -> None:
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syncfs(fd)
        finally:
            os.close(fd)

    def _load(self, records: Sequence[Record]) -> dict[str, Entry]:
        """Read the images the index names; one that is damaged is left out, and said so."""
        contents: dict[str, Content] = {}
        for target in {r.target.digest: r.target for r in records}.values():
            try:
                contents[target.digest] = self._load_one(target)
            except ImageError as error:
                names = ", ".join(r.name for r in records if r.target.digest == target.digest and r.name)
                log.error("image %s is damaged and left out: %s", names or target.digest, error)
        return self._entries([r for r in records if r.target.digest in contents], contents)

    def _load_one(self, target: Descriptor) -> Content:
        content = read_content(target, self.layout.blobs.read, self.host)
        if any(self.layers.info(chain) is None for chain in oci.chain_ids(content.diff_ids)):
            log.warning("unpacking %s again: a layer is missing", target.digest)
            with self.workshop(lambda: None) as workshop:
                workshop.prepare(target, self.layout.blobs)
                _Published(self).take_layers(workshop, content)
        return content

    def _entries(self, records: Sequence[Record], fresh: Mapping[str, Content]) -> dict[str, Entry]:
        """Images as the records name them; contents come from `fresh` or from the catalog that was."""
        names: dict[str, list[str]] = {}
        for record in records:
            names.setdefault(record.target.digest, []).extend([record.name] if record.name else [])
        entries = {}
        for digest, own in names.items():
            content = fresh.get(digest) or self.catalog.entries[digest].content
            entries[digest] = Entry(self._image(content, own), content)
        return entries

    def _image(self, content: Content, names: Sequence[str]) -> Image:
        chains = oci.chain_ids(content.diff_ids)
        infos = [self.layers.info(chain) for chain in chains]
        blob = self.layout.blobs.path(content.documents[-1].digest)
        return Image(
            id=content.manifest.config.digest,
            digest=content.target.digest,
            names=tuple(sorted(names)),
            config=content.configuration.config or {},
            layers=tuple(self.layers.tree(chain) for chain in reversed(chains)),
            size=sum(info.size for info in infos if info),
            created_at=oci.created_us(content.configuration) or blob.stat().st_mtime_ns // 1000,
        )


class _Published:
    """What one publication has put in place, to be taken back if it fails."""

    def __init__(self, directory: ImageDirectory) -> None:
        self._directory = directory
        self._blobs: list[Path] = []
        self._chains: list[str] = []

    def take(self, workshop: Workshop, content: Content) -> None:
        for descriptor in content.blobs:
            path = self._directory.layout.blobs.path(descriptor.digest)
            if not path.exists():
                workshop.blobs.path(descriptor.digest).rename(path)
                self._blobs.append(path)
        self.take_layers(workshop, content)

    def take_layers(self, workshop: Workshop, content: Content) -> None:
        for chain in oci.chain_ids(content.diff_ids):
            if workshop.layers.info(chain) and self._directory.layers.adopt(chain, workshop.layers):
                self._chains.append(chain)

    def take_back(self) -> None:
        for path in self._blobs:
            path.unlink(missing_ok=True)
        for chain in self._chains:
            self._directory.layers.delete(chain)


@contextlib.contextmanager
def storage_errors(doing: str, root: Path) -> Iterator[None]:
    """Say what failed and where, in one sentence: "cannot <do>: <cause>"."""
    try:
        yield
    except ImageError as error:
        error.args = (f"cannot {doing}: {error}",)
        raise
    except OSError as error:
        where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else root
        raise ImageStoreError(f"cannot {doing}: {error.strerror or error} ({where})") from error
