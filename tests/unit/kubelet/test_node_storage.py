"""Measuring what pods have on disk while the disk is full: a pod cannot make it last."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from minipod.kubelet.eviction.local_storage import StorageUse
from minipod.kubelet.gc import node_storage
from minipod.kubelet.gc.node_storage import NodeStorage
from tests.unit.kubelet.pods import pod
from tests.unit.kubelet.stage import Stage


class Endless:
    """A tree of files without end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began = threading.Event()
        self.over = threading.Event()
        monkeypatch.setattr(node_storage, "measure_pod", self._measure)

    def _measure(self, *_: object, stopped: Callable[[], bool] = lambda: False) -> StorageUse:
        self.began.set()
        deadline = time.monotonic() + 5
        while not stopped() and time.monotonic() < deadline:
            time.sleep(0.001)
        if stopped():
            self.over.set()
        return StorageUse()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Endless:
    return Endless(monkeypatch)


@pytest.fixture
async def storage(stage: Stage) -> NodeStorage:
    stage.begin(pod())
    return NodeStorage(stage.services, None, None)  # type: ignore[arg-type]


async def test_the_end_of_the_daemon_ends_it(storage: NodeStorage, endless: Endless) -> None:
    task = asyncio.create_task(storage.disk_use(pod()))
    await asyncio.to_thread(endless.began.wait, 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await asyncio.to_thread(endless.over.wait, 10)


async def test_it_ends_in_time_with_what_was_counted(
    storage: NodeStorage, endless: Endless, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_storage, "PATIENCE", 0.01)
    await storage.disk_use(pod())
    assert endless.over.is_set()
