"""The eviction manager rests: on a node without pods, and between looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from minipod.kubelet.eviction import manager as module
from minipod.kubelet.eviction.manager import EvictionManager
from minipod.kubelet.eviction.types import (
    EvictionSettings,
    Observation,
    PodDiskUse,
    Pressure,
    Signal,
    eviction_settings,
)
from minipod.kubelet.pods.pod_worker import PodWorker
from tests.unit.kubelet.pods import pod
from tests.unit.kubelet.stage import Stage

GI = 1 << 30


class Watched:
    """A manager whose looks are counted; `free` is the memory it sees."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks = 0
        self.free = 8 * GI
        self.workers: dict[str, PodWorker] = {}
        self.changes: list[tuple[Pressure, ...]] = []
        self.stage = stage
        monkeypatch.setattr(module, "read_signals", self._read)
        stage.begin(pod(), eviction=memory_below_one_gibibyte())
        self.manager = EvictionManager(
            stage.services, self.workers, on_change=lambda _, now: self.changes.append(now)
        )
        self.manager.start()

    def _read(self, _places: Any) -> dict[Signal, Observation]:
        self.looks += 1
        return {Signal.MEMORY_AVAILABLE: Observation(available=self.free, capacity=16 * GI)}


def memory_below_one_gibibyte() -> EvictionSettings:
    return eviction_settings(
        hard={"memory.available": "1Gi"},
        soft={},
        soft_grace={},
        minimum_reclaim={},
        max_pod_grace=0,
        transition_period=300,
    )


@pytest.fixture
async def watched(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    made = Watched(stage, monkeypatch)
    yield made
    await made.manager.stop()


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_node_without_pods_is_not_looked_at(watched: Watched) -> None:
    await turns()
    watched.manager.pods_changed()
    await turns()
    assert watched.looks == 0


async def test_one_look_is_enough_as_long_as_nothing_can_have_happened(watched: Watched) -> None:
    watched.workers["a"] = watched.stage.worker
    watched.manager.pods_changed()
    await turns()
    assert watched.looks == 1
    for _ in range(5):
        watched.manager.pods_changed()
        assert watched.manager.pressures() == ()
        await turns()
    assert watched.looks == 1


async def test_whoever_asks_under_which_pressure_an_idle_node_is_gets_a_look(watched: Watched) -> None:
    watched.free = GI // 2
    assert watched.manager.pressures() == (Pressure.MEMORY,)
    assert watched.changes == [(Pressure.MEMORY,)]
    assert watched.manager.held == (Pressure.MEMORY,)


async def test_the_pod_goes_as_soon_as_a_threshold_is_crossed(watched: Watched) -> None:
    await watched.stage.until(lambda: watched.stage.phase == "Running")
    watched.workers["6b1f0c2e-3f57-4d0e-9a53-0f1d2f7f9a11"] = watched.stage.worker
    watched.manager.pods_changed()
    await turns()
    watched.free = GI // 2
    watched.manager.look_soon()
    await watched.stage.until(lambda: watched.stage.phase == "Failed")
    assert watched.stage.client.statuses[-1].reason == "Evicted"
    assert "EvictionThresholdMet" in watched.stage.events.reasons


async def test_a_critical_pod_stays(watched: Watched) -> None:
    watched.stage.worker.pod.spec.priority = 2_000_000_000
    await watched.stage.until(lambda: watched.stage.phase == "Running")
    watched.workers["6b1f0c2e-3f57-4d0e-9a53-0f1d2f7f9a11"] = watched.stage.worker
    watched.free = GI // 2
    watched.manager.pods_changed()
    await watched.stage.until(lambda: "EvictionThresholdMet" in watched.stage.events.reasons)
    await turns(50)
    assert watched.stage.phase == "Running"
    assert "Evicted" not in watched.stage.events.reasons


class Reclaiming:
    """Storage of which something can be freed once."""

    def __init__(self, watched: Disk) -> None:
        self.times = 0
        self._watched = watched

    async def disk_use(self, _pod: object) -> PodDiskUse:
        return PodDiskUse()

    async def reclaim(self) -> None:
        self.times += 1
        self._watched.free = 11 * GI


class Disk:
    """A manager that sees a disk with `free` bytes; below 10 GiB it is low, and 2 GiB more have to be freed then."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 9 * GI
        self.storage = Reclaiming(self)
        monkeypatch.setattr(module, "read_signals", self._read)
        stage.begin(
            pod(),
            eviction=eviction_settings(
                hard={"nodefs.available": "10Gi"},
                soft={},
                soft_grace={},
                minimum_reclaim={"nodefs.available": "2Gi"},
                max_pod_grace=0,
                transition_period=300,
            ),
        )
        self.workers = {stage.worker.uid: stage.worker}
        self.manager = EvictionManager(
            stage.services, self.workers, storage=self.storage, on_change=lambda *_: None
        )

    def _read(self, _places: Any) -> dict[Signal, Observation]:
        return {Signal.NODEFS_AVAILABLE: Observation(available=self.free, capacity=100 * GI)}


async def test_less_than_the_minimum_reclaim_is_not_tried_for_again_and_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(stage, monkeypatch)
    await stage.until(lambda: stage.phase == "Running")
    disk.manager.start()
    try:
        await stage.until(lambda: stage.phase == "Failed" or disk.storage.times > 20)
    finally:
        await disk.manager.stop()
    assert disk.storage.times == 1
    assert stage.client.statuses[-1].reason == "Evicted"
