"""What watchers see: every change once, in order, or the news that they are too late."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from minipod.api.scheme import RESOURCES
from minipod.client.interface import EventType
from minipod.storage.errors import ExpiredError
from minipod.storage.interface import Change, Key, Stored
from minipod.storage.store import Store
from minipod.storage.window import ChangeWindow, Cursor
from tests.unit.storage.objects import key, labelled, pod, put, remove


def change(version: int, size: int = 1) -> Change:
    return Change(EventType.MODIFIED, Stored(Key("pods", "", "x"), None, b"x" * size, version, 0.0), None)


async def test_changes_come_in_order_with_what_was_before(store: Store) -> None:
    cursor = store.watch("pods")
    await store.write(key("a"), put(pod("a")))
    await store.write(key("a"), labelled("k", "v"))
    await store.write(key("a"), remove)
    changes = cursor.read()
    assert [c.type for c in changes] == [EventType.ADDED, EventType.MODIFIED, EventType.DELETED]
    assert [c.version for c in changes] == [1, 2, 3]
    assert changes[1].previous is changes[0].stored
    assert changes[2].stored.obj.metadata.resourceVersion == "3"
    assert changes[2].stored.obj.metadata.labels == {"k": "v"}
    assert changes[1].stored.obj.metadata.resourceVersion == "2"


async def test_a_watch_goes_on_after_any_version_that_was_seen(store: Store) -> None:
    for name in "abc":
        await store.write(key(name), put(pod(name)))
    assert [c.stored.key.name for c in store.watch("pods", 1).read()] == ["b", "c"]
    assert [c.stored.key.name for c in store.watch("pods", 0).read()] == ["a", "b", "c"]
    assert store.watch("pods", 3).read() == []


async def test_a_waiting_watcher_wakes_for_its_resource_only(store: Store) -> None:
    waiting = asyncio.create_task(store.watch("pods").wait())
    await store.write(Key("nodes", "", "n"), put(pod("n", "")))
    await asyncio.sleep(0)
    assert not waiting.done()
    await store.write(key("a"), put(pod("a")))
    await asyncio.wait_for(waiting, 5)


async def test_a_restart_makes_older_versions_too_old(store: Store, tmp_path: Path) -> None:
    await store.write(key("a"), put(pod("a")))
    await store.write(key("b"), put(pod("b")))
    await store.close()
    again = Store(tmp_path / "state.db", RESOURCES)
    await again.start()
    with pytest.raises(ExpiredError, match="too old resource version: 1"):
        again.watch("pods", 1)
    assert again.watch("pods", 2).read() == []
    await again.close()


def test_the_window_forgets_the_oldest_by_count() -> None:
    window = ChangeWindow(0, max_changes=4)
    for version in range(1, 9):
        window.append(change(version))
    assert window.oldest == 4
    assert [c.version for c in window.read(window.place_after(5), 10)] == [6, 7, 8]
    with pytest.raises(ExpiredError):
        window.place_after(3)


def test_the_window_forgets_the_oldest_by_size_but_never_the_newest() -> None:
    window = ChangeWindow(0, max_changes=100, max_bytes=1000)
    for version in range(1, 4):
        window.append(change(version, size=400))
    assert window.oldest == 1
    window.append(change(4, size=5000))
    assert window.oldest == 3
    assert [c.version for c in window.read(window.start, 10)] == [4]


def test_a_watcher_that_is_too_slow_is_told() -> None:
    window = ChangeWindow(0, max_changes=4)
    slow = Cursor(window, window.end, 0)
    for version in range(1, 9):
        window.append(change(version))
    with pytest.raises(ExpiredError, match=r"too old resource version: 0 \(4\)"):
        slow.read()
