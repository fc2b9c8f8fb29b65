"""What the eviction manager needs of the disk: who has how much on it, and room made before pods are evicted."""

from __future__ import annotations

import asyncio

from minipod.api import core_v1
from minipod.kubelet.eviction.disk_usage import measure_pod
from minipod.kubelet.eviction.types import PodDiskUse
from minipod.kubelet.gc.dead_container_collector import DeadContainerCollector
from minipod.kubelet.gc.image_collector import ImageCollector
from minipod.kubelet.services import Services


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
        return (await asyncio.to_thread(measure_pod, pod, sandbox, services.settings)).for_ranking()

    async def reclaim(self) -> None:
        await self._dead_containers.collect()
        await self._images.delete_unused()
