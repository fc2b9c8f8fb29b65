"""The image store as the daemon uses it: look-ups from memory, changes in a thread, one at a time.

See image_directory.py for what is on disk.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterable, Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from minipod.images import oci, reference
from minipod.images.archive import ArchivedImage, read_archive
from minipod.images.build import build_image
from minipod.images.compression import Source
from minipod.images.errors import ImageStoreError, InvalidImageError
from minipod.images.image_directory import ImageDirectory, storage_errors
from minipod.images.layout import Record
from minipod.images.stream import Abort, AbortedError, ArrivingStream
from minipod.images.types import Image

Images: TypeAlias = list[Image]
Given: TypeAlias = Path | AsyncIterable[bytes]

_T = TypeVar("_T")


class ImageStore:
    """The images of this node. All methods belong to one event loop; disk work runs in a thread of the store's own.

    `root` is made if it is missing, readable by root only: setuid programs of images must be out of users' reach.
    """

    def __init__(self, root: Path) -> None:
        self._directory = ImageDirectory(root)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._aborts: set[Abort] = set()
        self._callbacks: list[Callable[[], None]] = []
        self._announced = self._directory.catalog

    async def start(self) -> None:
        """Throw away unfinished work and read the index. Raises ImageStoreError when the directory is unusable."""
        await self._run(self._directory.open, Abort())

    async def stop(self) -> None:
        """Break off the work in hand and end the thread."""
        for abort in self._aborts:
            abort.set()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    def resolve(self, name: str) -> Image | None:
        """The image of that name as users write it ("busybox", "minipod/base:1", "repo@sha256:...", "sha256:...").

        None when there is none and when the text is no image name (see reference.parse for the reason).
        """
        return self._directory.catalog.resolve(name)

    def list(self) -> Images:
        """All images, by name."""
        return self._directory.catalog.images()

    async def import_archive(self, source: Given, *, name: str = "") -> Images:
        """Take in a docker-save or OCI archive (plain, gzip or zstd), whole or not at all.

        `name` overrides the name in an archive of one image. Raises InvalidImageError, UnsupportedImageError,
        InvalidReferenceError, ImageStoreError.
        """
        names = (str(reference.parse(name)),) if name else ()
        abort = Abort()
        given = _arriving(source, abort)
        return await self._run(lambda: self._import(given, names, abort), abort)

    async def build_rootfs(
        self, source: Given, name: str, *, config: Mapping[str, Any] | None = None
    ) -> Image:
        """Make a one-layer image out of a root file system: a directory, or a tar (plain, gzip or zstd).

        `config` is the image's config object (Cmd, Env, ...). Raises as import_archive does.
        """
        full = str(reference.parse(name))
        abort = Abort()
        given = _arriving(source, abort)
        return await self._run(lambda: self._build(given, full, config, abort), abort)

    async def remove(self, name: str, in_use: Collection[Path] = ()) -> Image:
        """Take a name away; an image without names goes with its blobs and unshared layers.

        A digest, an ID or an unambiguous start of an ID takes the whole image. An image whose uppermost layer is
        `in_use` (paths as in Image.layers) stays, without a name, until a later remove or collect finds it unused.
        Returns the image as it was; raises ImageNotFoundError.
        """
        return await self._run(lambda: self._directory.remove(name, in_use).image, Abort())

    async def collect(self, in_use: Collection[Path] = ()) -> int:
        """Delete images that lost their names and are not `in_use`, and files of no image; returns the bytes freed."""
        return await self._run(lambda: self._directory.collect(in_use), Abort())

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, in the loop, after images came or went. Returns the way to unsubscribe."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    # -- in the store's thread -----------------------------------------------------------------------------------

    def _import(self, given: Path | Source, names: tuple[str, ...], abort: Abort) -> Images:
        directory = self._directory
        with (
            storage_errors("import the image archive", directory.root),
            _opened(given) as source,
            directory.workshop(abort.check) as workshop,
        ):
            if isinstance(source, Path):
                raise InvalidImageError(f"{source} is a directory, expected an archive")
            archived = read_archive(source, workshop.blobs, directory.host, abort.check)
            records = _records(_renamed(archived, names) if names else archived)
            for image in archived:
                workshop.prepare(image.target)
            return directory.publish(workshop, records)

    def _build(
        self, given: Path | Source, name: str, config: Mapping[str, Any] | None, abort: Abort
    ) -> Image:
        directory = self._directory
        with (
            storage_errors(f"build image {name}", directory.root),
            _opened(given) as source,
            directory.workshop(abort.check) as workshop,
        ):
            target = build_image(workshop, source, config)
            return directory.publish(workshop, [Record(name, target)])[0]

    # -- between loop and thread ---------------------------------------------------------------------------------

    async def _run(self, work: Callable[[], _T], abort: Abort) -> _T:
        """Do the work in the thread; when the caller is cancelled, break it off and wait until it has cleaned up."""
        job = self._thread.submit(work)
        done = asyncio.wrap_future(job)
        done.add_done_callback(lambda _: self._notify())
        self._aborts.add(abort)
        try:
            return await asyncio.shield(done)
        except AbortedError as error:
            raise ImageStoreError("the image store is shutting down") from error
        except asyncio.CancelledError:
            if not job.cancel():
                abort.set()
            await _ended(done)
            raise
        finally:
            self._aborts.discard(abort)

    def _notify(self) -> None:
        if self._announced is self._directory.catalog:
            return
        self._announced = self._directory.catalog
        for callback in list(self._callbacks):
            callback()


async def _ended(future: asyncio.Future[Any]) -> None:
    """Wait for the future, whatever becomes of it and however often the waiter is cancelled meanwhile."""
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()  # looked at, so that asyncio does not report it


def _arriving(given: Given, abort: Abort) -> Path | Source:
    if isinstance(given, Path):
        return given
    return ArrivingStream(given, asyncio.get_running_loop(), abort)


@contextmanager
def _opened(given: Path | Source) -> Iterator[Path | Source]:
    """A source to read from, or the directory that was given."""
    if not isinstance(given, Path):
        yield given
        return
    try:
        mode = given.stat().st_mode
    except OSError as error:
        raise InvalidImageError(f"{given}: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        yield given
    elif stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
        with given.open("rb", buffering=0) as file:
            yield file
    else:
        raise InvalidImageError(f"{given} is neither a directory nor a file")


def _renamed(archived: Sequence[ArchivedImage], names: tuple[str, ...]) -> list[ArchivedImage]:
    if len(archived) != 1:
        raise InvalidImageError(
            f"the archive has {len(archived)} images, and there is only one name for them"
        )
    return [ArchivedImage(names, archived[0].target)]


def _records(archived: Sequence[ArchivedImage]) -> list[Record]:
    records = [Record(name, oci.plain(image.target)) for image in archived for name in image.names or ("",)]
    seen: set[str] = set()
    for record in records:
        if record.name in seen:
            raise InvalidImageError(f"the archive has two images of the name {record.name}")
        seen |= {record.name} - {""}
    return records
