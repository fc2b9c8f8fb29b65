"""The image collector looks when there is a reason to, tells of a failure once, and spares what came in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from minipod.api import core_v1
from minipod.images.errors import ImageStoreError
from minipod.images.types import Image
from minipod.kubelet.gc import image_collector as module
from minipod.kubelet.gc.image_collector import ImageCollector
from minipod.kubelet.gc.types import DiskSpace, GcSettings, ImagePolicy
from minipod.runtime.types import SandboxStatus
from tests.unit.kubelet.pods import pod
from tests.unit.kubelet.stage import Stage

GC = GcSettings(images=ImagePolicy(high_percent=80, low_percent=50, min_age=0))


class Store:
    """Images of 10 bytes each; `broken`: none can be removed."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.broken = False

    def list(self) -> list[Image]:
        return [_image(name) for name in self.names]

    def resolve(self, name: str) -> Image | None:
        return _image(name) if name in self.names else None

    async def remove(self, name: str, in_use: Collection[Path] = ()) -> Image:
        await asyncio.sleep(0)
        if self.broken:
            raise ImageStoreError(f"cannot remove image {name}")
        self.names.remove(name.removeprefix("sha256:"))
        return _image(name)


def _image(name: str) -> Image:
    id_ = f"sha256:{name}"
    return Image(id=id_, digest=id_, names=(name,), layers=(Path(name),), size=10, created_at=0)


class Watched:
    """A collector whose looks at the disk are counted; `free`: per cent of it."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store("one", "two", "minipod/base")
        stage.images = self.store  # type: ignore[assignment]
        stage.runtime.sandboxes = lambda: list[SandboxStatus]()  # type: ignore[attr-defined]
        made = pod()
        stage.begin(made, gc=GC)
        self.events = stage.events
        self.pods: list[core_v1.Pod] = [made]
        self.looks = 0
        self.free = 40
        monkeypatch.setattr(module, "PACE", 0)
        monkeypatch.setattr(ImageCollector, "_space", lambda _: self._look())
        self.collector = ImageCollector(stage.services, lambda: self.pods)
        self.collector.start()

    def _look(self) -> DiskSpace:
        self.looks += 1
        return DiskSpace(capacity=100, available=self.free)

    def told(self, reason: str) -> int:
        return self.events.reasons.count(reason)


@pytest.fixture
async def watched(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    made = Watched(stage, monkeypatch)
    await turns()
    yield made
    await made.collector.stop()


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nothing_is_looked_at_until_something_happens(watched: Watched) -> None:
    before = watched.looks
    await turns(200)
    assert watched.looks == before
    watched.collector.look_soon()
    await turns()
    assert watched.looks == before + 1
    assert len(watched.store.names) == 3


async def test_a_full_disk_loses_what_nobody_uses_and_no_more_than_it_must(watched: Watched) -> None:
    watched.free = 20
    watched.store.names += ["three", "four", "five"]
    watched.collector.look_soon()
    await turns()
    assert len(watched.store.names) == 3
    assert "minipod/base" in watched.store.names


async def test_failures_are_told_once(watched: Watched) -> None:
    watched.free = 0
    watched.store.broken = True
    for _ in range(3):
        watched.collector.look_soon()
        await turns()
    assert watched.told("ImageGCFailed") == 1
    watched.store.broken = False
    for _ in range(3):
        watched.collector.look_soon()
        await turns()
    assert watched.told("FreeDiskSpaceFailed") == 1
    assert watched.store.names == ["minipod/base"]


async def test_once_its_pod_has_ended_an_image_may_go(watched: Watched) -> None:
    assert await watched.collector.delete_unused() == 20
    assert watched.store.names == ["minipod/base"]
    watched.pods.clear()
    assert await watched.collector.delete_unused() == 10
