"""Removes ended attempts at containers that the node need not keep, with their writable layers and logs.

It looks when a container of a pod has ended or been replaced, and when one that was too young has come of age.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet.backoff import MICROSECONDS
from minipod.kubelet.gc.dead_containers import DeadContainer, seconds_to_age, surplus
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.services import Services
from minipod.kubelet.status.records import container_statuses
from minipod.runtime.errors import RuntimeServiceError
from minipod.runtime.types import ContainerState, SandboxStatus

log = logging.getLogger(__name__)

RETRY = 10.0
"""Seconds until the next try when an attempt could not be removed."""

SETTLE = 1.0
"""Seconds until the next look for attempts whose end is not on record yet: only their container can tell it."""


class DeadContainerCollector:
    """One per node. `workers`: its pods by uid."""

    def __init__(self, services: Services, workers: Mapping[str, PodWorker]) -> None:
        self._services = services
        self._workers = workers
        self._policy = services.settings.gc.dead_containers
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._news.set()
        self._task = asyncio.create_task(self._run(), name="kubelet-container-gc")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def pod_changed(self, uid: str) -> None:
        """Something happened to the pod's processes."""
        sandbox = self._services.runtime.status(uid)
        if sandbox is None:
            return
        dead = dead_containers(sandbox, self._services.clock())
        if any(not one.latest for one in dead) or (dead and self._policy.total >= 0):
            self._news.set()

    async def collect(self) -> float | None:
        """Remove what need not be kept; returns the seconds until there may be more, None: when something happens."""
        async with self._lock:
            now, failed, untold = self._services.clock(), False, False
            found = {
                (uid, one.id): one
                for uid, sandbox in self._sandboxes().items()
                for one in dead_containers(sandbox, now)
            }
            for one in surplus(found.values(), self._policy):
                if self._on_record(one):
                    failed |= not await self._remove(one)
                else:
                    untold = True
                found.pop((one.pod, one.id))
            if untold or failed:
                return SETTLE if untold else RETRY
            return seconds_to_age((one for one in found.values() if not one.latest), self._policy)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            delay = await self.collect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._news.wait()

    def _sandboxes(self) -> dict[str, SandboxStatus]:
        return {sandbox.uid: sandbox for sandbox in self._services.runtime.sandboxes()}

    def _on_record(self, one: DeadContainer) -> bool:
        worker = self._workers.get(one.pod)
        return worker is not None and is_on_record(worker.current_pod, one)

    async def _remove(self, one: DeadContainer) -> bool:
        runtime = self._services.runtime
        sandbox = runtime.status(one.pod)
        status = sandbox.container(one.id) if sandbox else None
        if status is None:
            return True
        try:
            await runtime.remove_container(one.pod, one.id)
            await runtime.removals.run(remove_logs, status.log_path.parent, status.attempt)
        except (RuntimeServiceError, OSError) as error:
            log.warning("cannot remove an ended container: %s", error, extra={"uid": one.pod})
            return False
        return True


def dead_containers(sandbox: SandboxStatus, now: int) -> list[DeadContainer]:
    """The ended attempts of a pod. `now`: µs since the epoch, as all times of containers."""
    newest: dict[str, int] = {}
    for container in sandbox.containers:
        newest[container.name] = max(container.attempt, newest.get(container.name, 0))
    return [
        DeadContainer(
            pod=sandbox.uid,
            name=container.name,
            id=container.id,
            attempt=container.attempt,
            age=(now - container.created_at) / MICROSECONDS,
            latest=container.attempt == newest[container.name],
        )
        for container in sandbox.containers
        if container.state is ContainerState.EXITED
    ]


def is_on_record(pod: core_v1.Pod, one: DeadContainer) -> bool:
    """Whether the pod's status has told of the attempt after this one, and with it how this one ended."""
    return any(s.name == one.name and s.restartCount > one.attempt for s in container_statuses(pod))


def remove_logs(directory: Path, attempt: int) -> None:
    """A container's logs up to that attempt's, with their rotated parts. Blocks; raises OSError.

    Older ones may have been left by an earlier sandbox, whose attempts nobody knows any more.
    """
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            number, _, rest = name.partition(".")
            if number.isdigit() and int(number) <= attempt and rest.startswith("log"):
                (directory / name).unlink(missing_ok=True)
