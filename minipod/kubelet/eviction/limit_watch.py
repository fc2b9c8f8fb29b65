"""Ends pods that write more to the node's disk than they may: one watch per pod that has such a limit, none for others.

A watch sleeps for as long as the pod needs to come near its limit (local_storage.py). What used no processor time since
the last look has written nothing: then one number is read and the disk left alone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time

from minipod.api.priorities import is_critical
from minipod.kubelet.eviction.disk_usage import measure_pod
from minipod.kubelet.eviction.local_storage import (
    StorageLimits,
    StorageUse,
    exceeded,
    seconds_to_next_look,
    storage_limits,
)
from minipod.kubelet.eviction.types import EVICTED, HARD_GRACE
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.services import Services
from minipod.kubelet.status.generate import Failed
from minipod.linux.cgroup2 import cpu

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Pods that are measured at the same time, at most."""

RETRY = 30.0
"""Seconds after which a pod is looked at again that could not be."""


class LimitWatch:
    """One per node."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._stopped = threading.Event()

    def follow(self, worker: PodWorker) -> None:
        """Watch the pod until it ends, if it has a limit. Critical pods are not evicted, so not watched."""
        limits = storage_limits(worker.pod)
        if not limits or is_critical(worker.pod) or self._stopped.is_set():
            return
        task = asyncio.create_task(self._watch(worker, limits), name=f"storage-limits-{worker.uid}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Let go; pods live on."""
        self._stopped.set()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, worker: PodWorker, limits: StorageLimits) -> None:
        await worker.first_sync.wait()
        pod = _Watched(self._services, worker, limits)
        while True:
            try:
                delay = await self._look(pod)
            except Exception:
                log.exception("cannot look after a pod's storage limits", extra={"uid": worker.uid})
                delay = RETRY
            if delay is None:
                return
            try:
                async with asyncio.timeout(delay):
                    await worker.ended()
                return
            except TimeoutError:
                pass

    async def _look(self, pod: _Watched) -> float | None:
        """Seconds until the next look; None when the pod has been ended, or was ending."""
        now = time.monotonic()
        if pod.has_worked(now):
            async with self._slots:
                await pod.measure(self._stopped)
            message = exceeded(pod.limits, pod.use)
            if message is not None:
                pod.worker.evict(Failed(EVICTED, message), grace=HARD_GRACE)
                return None
        return seconds_to_next_look(pod.limits, pod.use, took=pod.took, rested=now - pod.worked_at)


class _Watched:
    """One pod, and what is known of it: `use`, which took `took` seconds to measure, and when it last worked."""

    def __init__(self, services: Services, worker: PodWorker, limits: StorageLimits) -> None:
        self._services = services
        self.worker = worker
        self.limits = limits
        self.use = StorageUse()
        self.took = 0.0
        self.worked_at = 0.0
        self._cpu_time: int | None = None
        self._measured_at: int | None = None
        """The pod's processor time when it was last measured."""

    def has_worked(self, now: float) -> bool:
        """Whether the pod can have written anything since it was measured; True where that cannot be known."""
        self._cpu_time = self._read_cpu_time()
        if self._cpu_time is not None and self._cpu_time == self._measured_at:
            return False
        self.worked_at = now
        return True

    async def measure(self, stopped: threading.Event) -> None:
        """Renew `use` and `took`."""
        began = time.monotonic()
        self.use = await asyncio.to_thread(
            measure_pod,
            self.worker.pod,
            self._services.runtime.status(self.worker.uid),
            self._services.settings,
            stopped=stopped.is_set,
        )
        self.took = time.monotonic() - began
        self._measured_at = self._cpu_time

    def _read_cpu_time(self) -> int | None:
        """Microseconds used by all there is of the pod; without a sandbox nothing runs."""
        sandbox = self._services.runtime.status(self.worker.uid)
        if sandbox is None:
            return 0
        try:
            return cpu.stat(self._services.settings.cgroup_root / sandbox.cgroup).usage_us
        except OSError:
            return None
