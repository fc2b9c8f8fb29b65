"""Deletes unused images: when the disk is full, when they are old, when the node or somebody needs the room.

It looks when images came, when a pod ended, and when time alone can have changed the answer; never on a period.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet

from minipod.api import core_v1
from minipod.images.errors import ImageError, ImageNotFoundError
from minipod.images.types import Image
from minipod.kubelet import events
from minipod.kubelet.gc import image_policy
from minipod.kubelet.gc.types import DiskSpace, ImageRecord
from minipod.kubelet.gc.usage import image_ids, layers_of, used_images
from minipod.kubelet.services import Services
from minipod.linux import machine

log = logging.getLogger(__name__)

RETRY = 60.0
"""Seconds until the next try when something could not be deleted, or not enough."""

PACE = 1.0
"""Seconds between looks at least: pods often end together."""


class ImageCollector:
    """One per node. `pods`: all Pods of this node, whether they have a worker or not."""

    def __init__(
        self,
        services: Services,
        pods: Callable[[], Iterable[core_v1.Pod]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._policy = services.settings.gc.images
        self._pods = pods
        self._clock = clock
        self._began = clock()
        self._records: dict[str, ImageRecord] = {}
        self._ended: set[str] = set()
        self._first = True
        self._told = ""
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._news.set()
        self._task = asyncio.create_task(self._run(), name="kubelet-image-gc")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look_soon(self) -> None:
        """Images came or went, or a pod's processes have gone."""
        self._news.set()

    def pod_ended(self, pod: core_v1.Pod) -> None:
        """Even one that lived between two looks has used its images."""
        self._ended |= image_ids(pod)
        self._news.set()

    async def delete_unused(self) -> int:
        """All that no container uses and that is not too young; returns the bytes. The node needs the room.

        Never raises ImageError; what could not be deleted is logged.
        """
        async with self._lock:
            self._observe()
            found = image_policy.removable(self._records, self._policy, now=self._clock())
            freed, errors = await self._delete(found)
            for error in errors:
                log.warning("cannot delete an unused image: %s", error)
            return freed

    async def prune(self, *, named: bool) -> list[Image]:
        """Delete unused images on request, however young: those without names, with `named` all. Returns them."""
        async with self._lock:
            self._observe()
            ids = {record.id for record in image_policy.candidates(self._records)}
            every = self._services.images.list()
            kept = {image.id for image in every if image.names and not named}
            gone = [image for image in every if image.id in ids - kept]
            return [image for image in gone if await self._remove(image.id)]

    # -- the loop --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                async with self._lock:
                    delay = await self._round()
            except (ImageError, OSError) as error:
                log.warning("cannot collect unused images: %s", error)
                delay = RETRY
            try:
                async with asyncio.timeout(delay):
                    await self._news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(PACE)

    async def _round(self) -> float | None:
        """Look and act; returns the seconds until the next look, None: when something happens."""
        await self._collect_leftovers(self._observe())
        now, policy = self._clock(), self._policy
        old = image_policy.too_old(self._records, policy, now=now, began=self._began)
        freed, errors = await self._delete(old)
        wanted = image_policy.bytes_to_free(self._space(), policy)
        short = False
        if wanted:
            found = image_policy.removable(self._records, policy, now=now)
            log.info("the images' disk is over the high threshold: trying to free %d bytes", wanted)
            freed, more = await self._delete(found, enough=wanted)
            errors += more
            short = freed < wanted
            self._tell(wanted, freed, errors)
        else:
            self._told = ""
            if errors:
                self._tell(0, freed, errors)
        if errors:
            return RETRY
        wake = image_policy.wake_at(self._records, policy, now=now, began=self._began, over=short)
        return None if wake is None else max(wake - self._clock(), 0.001)

    def _observe(self) -> set[str]:
        """Look who uses what; returns the IDs of images that have ceased to be used."""
        services = self._services
        images = services.images.list()
        used = self._used()
        ended, self._ended = self._ended, set()
        ceased = ({id_ for id_, record in self._records.items() if record.used} | ended) - used
        self._records = image_policy.observe(
            self._records,
            {image.id: image.size for image in images},
            used,
            now=self._clock(),
            ended=ended,
            first=self._first,
        )
        self._first = False
        return ceased

    def _used(self) -> set[str]:
        services = self._services
        return used_images(services.runtime.sandboxes(), self._pods(), services.images.resolve)

    async def _collect_leftovers(self, ceased: AbstractSet[str]) -> None:
        """Images that were removed while a container had them go with it."""
        images = self._services.images
        if any(image.id in ceased and not image.names for image in images.list()):
            await images.collect(layers_of(images.list(), self._used()))

    def _space(self) -> DiskSpace:
        found = machine.file_system(self._services.settings.data_dir / "images")
        return DiskSpace(capacity=found.capacity, available=found.available)

    async def _delete(
        self, records: Sequence[ImageRecord], *, enough: int | None = None
    ) -> tuple[int, list[str]]:
        """One after the other until `enough` bytes are free; returns these and what went wrong."""
        freed, errors = 0, []
        for record in records:
            if enough is not None and freed >= enough:
                break
            try:
                if not await self._remove(record.id):
                    continue
            except ImageError as error:
                errors.append(str(error))
                continue
            log.info("deleted an unused image", extra={"image": record.id, "bytes": record.size})
            self._records.pop(record.id, None)
            freed += record.size
        return freed, errors

    async def _remove(self, id_: str) -> bool:
        """By its ID, with every name. False when it has gone, or come to be used, meanwhile."""
        images, used = self._services.images, self._used()
        if id_ in used:
            return False
        removed = False
        for image in [image for image in images.list() if image.id == id_]:
            try:
                await images.remove(image.id, layers_of(images.list(), used))
            except ImageNotFoundError:
                break
            removed = True
        return removed

    def _tell(self, wanted: int, freed: int, errors: Sequence[str]) -> None:
        """Once, until it has changed or is well again."""
        if errors:
            reason, message = events.IMAGE_GC_FAILED, image_policy.failed_to_delete(wanted, freed, errors)
        elif freed < wanted:
            reason = events.FREE_DISK_SPACE_FAILED
            message = image_policy.failed_to_free(wanted, freed)
        else:
            self._told = ""
            return
        if reason != self._told:
            self._told = reason
            node = self._services.settings.node_name
            self._services.events.node_event(node, events.WARNING, reason, message)
