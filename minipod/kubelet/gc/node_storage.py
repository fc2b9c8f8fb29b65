"""What the eviction manager needs of the disk: who has how much on it, and room made before pods are evicted."""

from __future__ import annotations

import asyncio
import threading

from minipod.api import core_v1
from minipod.kubelet.eviction.disk_usage import measure_pod
from minipod.kubelet.eviction.types import PodDiskUse
from minipod.kubelet.gc.dead_container_collector import DeadContainerCollector
from minipod.kubelet.gc.image_collector import ImageCollector
from minipod.kubelet.services import Services

PATIENCE = 5.0
"""Seconds that measuring one pod may last: the disk fills meanwhile. What has been counted then is what ranks it."""


class NodeStorage:
    """See eviction/types.py, Storage."""

    def __init__(
        self, services: Services, images: ImageCollector, dead_containers: DeadContainerCollector
    ) -> None:
        self._services = services
        self._images = images
        self._dead_containers = dead_containers

    async def disk_use(self, pod: core_v1.Pod) -> PodDiskUse:
        services = self._services
        sandbox = services.runtime.status(pod.metadata.uid or "")
        stopped = threading.Event()
        limit = asyncio.get_running_loop().call_later(PATIENCE, stopped.set)
        try:
            found = await asyncio.to_thread(
                measure_pod, pod, sandbox, services.settings, stopped=stopped.is_set
            )
        finally:
            limit.cancel()
            stopped.set()  # who is cancelled leaves no thread behind, for which the daemon's end would wait
        return found.for_ranking()

    async def reclaim(self) -> None:
        await self._dead_containers.collect()
        await self._images.delete_unused()
