"""Pods that were there before the daemon was: those that run are taken over at once, the others started in order.

Priority first, then age, as after a reboot: pods of a lower priority wait until those of a higher one have been
started, or could not be for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from minipod.api import core_v1
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.shutdown.order import start_order

PATIENCE = 5.0
"""Seconds that pods of one priority may keep the next ones waiting."""


class Arrivals:
    """`runs` tells whether anything of a pod (by uid) is there; `start` makes its worker."""

    def __init__(self, *, runs: Callable[[str], bool], start: Callable[[core_v1.Pod], PodWorker]) -> None:
        self._runs = runs
        self._start = start
        self._open = True
        self._waiting: dict[str, core_v1.Pod] = {}
        self._task: asyncio.Task[None] | None = None

    def hold(self, pod: core_v1.Pod) -> bool:
        """Whether it waits for its turn; after begin(), no new pod does."""
        if self._open:
            self._waiting[pod.metadata.uid or ""] = pod
        return self._open

    def update(self, pod: core_v1.Pod) -> None:
        if pod.metadata.uid in self._waiting:
            self._waiting[pod.metadata.uid] = pod

    def gone(self, pod: core_v1.Pod) -> None:
        """A pod that is deleted while it waits is given a worker, which removes what is left of it."""
        if self._waiting.pop(pod.metadata.uid or "", None) is not None:
            self._start(pod).removed()

    def begin(self) -> None:
        """Every pod has been heard of: those that run have their workers when this returns, and the first to start."""
        self._open = False
        for pod in [p for uid, p in self._waiting.items() if self._runs(uid)]:
            self._take(pod)
        first, *later = start_order(self._waiting.values()) or [[]]
        begun = [self._take(pod) for pod in first]
        if later:
            self._task = asyncio.create_task(self._start_in_order(begun, later), name="kubelet-arrivals")

    async def stop(self) -> None:
        """Whoever still waits is not started any more."""
        self._open = False
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _take(self, pod: core_v1.Pod) -> PodWorker:
        return self._start(self._waiting.pop(pod.metadata.uid or "", pod))

    async def _start_in_order(self, begun: list[PodWorker], later: list[list[core_v1.Pod]]) -> None:
        for group in later:
            first_looks = [asyncio.create_task(worker.first_sync.wait()) for worker in begun]
            if first_looks:
                _, slow = await asyncio.wait(first_looks, timeout=PATIENCE)
                for task in slow:
                    task.cancel()
            begun = [self._take(pod) for pod in group if pod.metadata.uid in self._waiting]
