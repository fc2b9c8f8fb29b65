"""Watches the node's signals; frees what nobody needs, then ends one pod at a time, until enough is free again.

Nothing is looked at on a node without pods. With pods, the next look is as far away as the thresholds are (pacing.py),
and the kernel tells of memory stalls in between. https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from minipod.api.priorities import is_critical
from minipod.kubelet import events
from minipod.kubelet.eviction.pacing import seconds_to_next_look
from minipod.kubelet.eviction.ranking import PodUse, eviction_message, rank
from minipod.kubelet.eviction.signals import Places, read_signals
from minipod.kubelet.eviction.thresholds import Judgement, Past, judge, met
from minipod.kubelet.eviction.types import (
    EVICTED,
    HARD_GRACE,
    STARVED,
    Observation,
    PodDiskUse,
    Pressure,
    Signal,
    Starved,
    Storage,
    Threshold,
)
from minipod.kubelet.eviction.usage import measure
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.services import Services
from minipod.kubelet.status.fates import FINAL_PHASES
from minipod.kubelet.status.generate import Failed
from minipod.linux.psi import Trigger

log = logging.getLogger(__name__)

STALL_US = 100_000
"""Microseconds that tasks have to wait for memory within two seconds for the node to be looked at early."""

NOBODY_TO_END = 10.0
"""Seconds until the next try when a threshold is crossed and no pod may be evicted, as the kubelet."""

END_PATIENCE = 30.0
"""Seconds beyond its grace period that an evicted pod may take to leave, before the next one is looked at."""


class EvictionManager:
    """One per node. `workers`: its pods by uid; `on_change` is called when the pressures have changed."""

    def __init__(
        self,
        services: Services,
        workers: Mapping[str, PodWorker],
        *,
        storage: Storage | None = None,
        on_change: Callable[[tuple[Pressure, ...], tuple[Pressure, ...]], None],
    ) -> None:
        """`on_change(before, now)`."""
        settings = services.settings
        self._services = services
        self._settings = settings.eviction
        self._places = Places(nodefs=settings.data_dir, imagefs=settings.data_dir / "images")
        self._workers = workers
        self._storage = storage
        self._on_change = on_change
        self._past = Past()
        self._pressures: tuple[Pressure, ...] = ()
        self._fresh_until = float("-inf")
        self._busy = False
        self._told: tuple[Starved, ...] = ()
        self._news = asyncio.Event()
        self._trigger: Trigger | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def held(self) -> tuple[Pressure, ...]:
        """The pressures as they were at the last look."""
        return self._pressures

    def pressures(self) -> tuple[Pressure, ...]:
        """Those of now, for who is to be let in: looks, unless nothing can have changed since the last look."""
        if self._settings.thresholds and time.monotonic() >= self._fresh_until:
            self._look()
        return self._pressures

    def start(self) -> None:
        if self._settings.thresholds:
            self._task = asyncio.create_task(self._run(), name="kubelet-eviction")

    async def stop(self) -> None:
        """Pods that are being evicted go on with that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._watch_stalls(wanted=False)

    def pods_changed(self) -> None:
        """The first pod came or the last one went: begin to look, or cease."""
        if bool(self._workers) != self._busy:
            self._news.set()

    def look_soon(self) -> None:
        """Something big was written: an image."""
        self._fresh_until = float("-inf")
        self._news.set()

    # -- the loop --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                delay = await self._round()
            except Exception:
                log.exception("cannot look after the node's resources")
                delay = NOBODY_TO_END
            try:
                async with asyncio.timeout(delay):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _round(self) -> float | None:
        """Look and act; returns the seconds until the next look, None: when something happens."""
        self._busy = busy = bool(self._workers)
        self._watch_stalls(wanted=busy)
        if not busy and not self._pressures:
            return None
        judgement, seen = self._look()
        if judgement.starved and busy:
            return 0.0 if await self._relieve(judgement.starved, seen) else NOBODY_TO_END
        if not judgement.starved:
            self._told = ()
        moments = [] if judgement.wake_at is None else [judgement.wake_at]
        if busy:
            moments.append(self._fresh_until)
        elif judgement.crossed:
            return NOBODY_TO_END
        return max(min(moments) - time.monotonic(), 0.0) if moments else None

    def _look(self) -> tuple[Judgement, Mapping[Signal, Observation]]:
        now, seen = time.monotonic(), read_signals(self._places)
        judgement = judge(self._past, self._settings, seen, now)
        self._past = judgement.past
        self._fresh_until = now + seconds_to_next_look(
            self._settings.thresholds, seen, crossed=bool(judgement.crossed)
        )
        before, self._pressures = self._pressures, judgement.pressures
        if before != self._pressures:
            log.warning("node pressure: %s", ", ".join(self._pressures) or "none")
            self._on_change(before, self._pressures)
            self._news.set()
        return judgement, seen

    def _watch_stalls(self, *, wanted: bool) -> None:
        loop = asyncio.get_running_loop()
        if self._trigger is not None and not wanted:
            loop.remove_reader(self._trigger.fileno())
            self._trigger.close()
            self._trigger = None
        elif self._trigger is None and wanted:
            try:
                self._trigger = Trigger("memory", stall_us=STALL_US)
            except OSError as error:
                log.debug("no early word of memory stalls: %s", error)
                return
            loop.add_reader(self._trigger.fileno(), self._stalled)

    def _stalled(self) -> None:
        if self._trigger is not None:
            self._trigger.take()
            self._news.set()

    # -- acting ----------------------------------------------------------------------------------------------------

    async def _relieve(self, starved: tuple[Threshold, ...], seen: Mapping[Signal, Observation]) -> bool:
        """Free something of what is scarcest. False when there is nothing to do about it."""
        threshold = starved[0]
        resource = STARVED[threshold.signal]
        self._tell(resource)
        if resource in (Starved.EPHEMERAL_STORAGE, Starved.INODES) and self._storage is not None:
            await self._storage.reclaim()
            # What judge() takes for relief: anything less would be acted on again at once, for ever.
            if not list(met(self._settings.thresholds, read_signals(self._places), with_reclaim=True)):
                log.info("%s: freed without evicting pods", resource)
                return True
        for use in rank(threshold.signal, await self._uses(resource)):
            if await self._evict(use, threshold, seen.get(threshold.signal)):
                return True
        log.warning("%s: no pod may be evicted", threshold.signal)
        return False

    async def _evict(self, use: PodUse, threshold: Threshold, observed: Observation | None) -> bool:
        """End one pod and wait until it has gone; False where that is not to be."""
        worker = self._workers.get(use.pod.metadata.uid or "")
        if worker is None or is_critical(use.pod):
            return False
        grace = HARD_GRACE if threshold.hard else self._settings.max_pod_grace
        failed = Failed(EVICTED, eviction_message(threshold, observed, use), disrupted=True)
        if not worker.evict(failed, grace=grace):
            return False
        self._told = ()
        try:
            async with asyncio.timeout(grace + END_PATIENCE):
                await worker.ended()
        except TimeoutError:
            log.warning("an evicted pod does not end", extra={"uid": worker.uid})
        return True

    async def _uses(self, resource: Starved) -> list[PodUse]:
        """Of all pods; disk, which is slow to measure, only where that is what is scarce."""
        found = []
        root, runtime = self._services.settings.cgroup_root, self._services.runtime
        on_disk = resource in (Starved.EPHEMERAL_STORAGE, Starved.INODES)
        for uid, worker in list(self._workers.items()):
            pod = worker.current_pod
            if pod.status.phase in FINAL_PHASES:
                continue
            disk = await self._storage.disk_use(pod) if on_disk and self._storage else PodDiskUse()
            found.append(await asyncio.to_thread(measure, pod, runtime.status(uid), root, disk))
        return found

    def _tell(self, resource: Starved) -> None:
        """Once per shortage, and again with each pod that is ended for it."""
        if resource not in self._told:
            self._told = (*self._told, resource)
            self._services.events.node_event(
                self._services.settings.node_name,
                events.WARNING,
                events.EVICTION_THRESHOLD_MET,
                f"Attempting to reclaim {resource}",
            )
