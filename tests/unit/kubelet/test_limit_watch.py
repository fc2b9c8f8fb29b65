"""The watch over what pods write rests whenever they cannot have written anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from minipod.api import core_v1
from minipod.kubelet.eviction import limit_watch as module
from minipod.kubelet.eviction.limit_watch import LimitWatch
from minipod.kubelet.eviction.local_storage import StorageUse
from minipod.kubelet.eviction.types import DiskUse
from minipod.kubelet.pods.pod_worker import PodWorker
from tests.unit.kubelet.pods import UID, container, host, pod
from tests.unit.kubelet.stage import Stage

MI = 1 << 20


class Watched:
    """A watch whose looks are counted, over one pod that uses `used` bytes."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.stage = stage
        self.used = 0
        self.measured = 0
        self.delays = 0
        self._root = root
        monkeypatch.setattr(module, "measure_pod", self._measure)
        monkeypatch.setattr(module, "seconds_to_next_look", self._pace)
        self.watch: LimitWatch

    async def begin(self, made: core_v1.Pod) -> None:
        self.stage.begin(made, cgroup_root=self._root, host=host(ephemeral_storage=1 << 40))
        await self.stage.until(lambda: self.stage.phase == "Running")
        self.work(1)
        self.watch = LimitWatch(self.stage.services)
        self.watch.follow(self.worker)

    @property
    def worker(self) -> PodWorker:
        return self.stage.worker

    def work(self, cpu_time: int) -> None:
        sandbox = self.stage.runtime.status(UID)
        assert sandbox is not None
        group = self._root / sandbox.cgroup
        group.mkdir(parents=True, exist_ok=True)
        (group / "cpu.stat").write_text(f"usage_usec {cpu_time}\n")

    async def looks(self, count: int) -> None:
        """Wait for that many more."""
        goal = self.delays + count
        await self.stage.until(lambda: self.delays >= goal)

    def _measure(self, *_: Any, **__: Any) -> StorageUse:
        self.measured += 1
        return StorageUse(layers={"main": DiskUse(self.used, 1)})

    def _pace(self, *_: Any, **__: Any) -> float:
        self.delays += 1
        return 0.002


@pytest.fixture
async def watched(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Watched]:
    made = Watched(stage, monkeypatch, tmp_path / "cgroup")
    yield made
    await made.watch.stop()


def limited(**fields: Any) -> core_v1.Pod:
    return pod(container(resources={"limits": {"ephemeral-storage": "1Mi"}}), **fields)


async def test_the_disk_is_left_alone_while_a_pod_rests(watched: Watched) -> None:
    await watched.begin(limited())
    await watched.looks(5)
    assert watched.measured == 1
    watched.work(2)
    await watched.looks(5)
    assert watched.measured == 2


async def test_a_pod_whose_work_cannot_be_seen_is_measured_each_time(
    watched: Watched, tmp_path: Path
) -> None:
    await watched.begin(limited())
    next((tmp_path / "cgroup").rglob("cpu.stat")).unlink()
    await watched.looks(5)
    assert watched.measured >= 4


async def test_a_pod_that_wrote_too_much_is_evicted(watched: Watched) -> None:
    await watched.begin(limited())
    await watched.looks(1)
    watched.used = 2 * MI
    watched.work(2)
    async with asyncio.timeout(5):
        await watched.worker.ended()
    status = watched.stage.client.statuses[-1]
    assert (status.phase, status.reason) == ("Failed", "Evicted")


async def test_a_pod_that_has_ended_is_no_longer_watched(watched: Watched) -> None:
    await watched.begin(limited(restartPolicy="Never"))
    await watched.looks(1)
    watched.stage.runtime.end(UID, "main", 0)
    await watched.worker.ended()
    await watched.stage.until(lambda: not watched.watch._tasks)


@pytest.mark.parametrize("made", [pod(), limited(priority=2_000_000_000)], ids=["no limit", "critical"])
async def test_pods_that_cannot_be_evicted_for_it_are_not_watched(
    watched: Watched, made: core_v1.Pod
) -> None:
    await watched.begin(made)
    assert not watched.watch._tasks


async def test_an_error_does_not_end_the_watch(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.002)
    failures = iter([OSError("no"), OSError("no")])

    def fail(*_: Any, **__: Any) -> StorageUse:
        if (error := next(failures, None)) is not None:
            raise error
        return watched._measure()

    monkeypatch.setattr(module, "measure_pod", fail)
    await watched.begin(limited())
    await watched.looks(1)
