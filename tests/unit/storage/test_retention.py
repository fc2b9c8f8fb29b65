"""Events do not grow without bound, and nothing but a write makes them go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from minipod.api.scheme import RESOURCES
from minipod.client.interface import EventType
from minipod.storage.retention import Retention
from minipod.storage.store import Store
from tests.unit.storage.objects import event, key, put, remove

POLICY = {"events": Retention(max_age=60, max_per_namespace=3)}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    store = Store(tmp_path / "state.db", RESOURCES, retention=POLICY, clock=clock)
    await store.start()
    yield store
    await store.close()


async def write(store: Store, name: str, namespace: str = "default") -> None:
    await store.write(key(name, namespace, "events"), put(event(name, namespace)))


def names(store: Store, namespace: str = "default") -> list[str]:
    return [s.key.name for s in store.list("events", namespace)]


async def test_the_oldest_of_a_namespace_go_when_there_are_too_many(store: Store) -> None:
    await write(store, "other", "elsewhere")
    for name in "abcde":
        await write(store, name)
    assert names(store) == ["c", "d", "e"]
    assert names(store, "elsewhere") == ["other"]


async def test_writing_one_again_makes_it_new(store: Store) -> None:
    for name in ("a", "b", "c", "a", "d"):
        await write(store, name)
    assert names(store) == ["a", "c", "d"]


async def test_the_old_go_in_every_namespace_at_the_next_write(store: Store, clock: Clock) -> None:
    await write(store, "a")
    clock.now += 30
    await write(store, "b", "elsewhere")
    clock.now += 31
    cursor = store.watch("events")
    assert names(store) == ["a"]
    await write(store, "c", "third")
    assert names(store) == []
    assert names(store, "elsewhere") == ["b"]
    assert [c.type for c in cursor.read()] == [EventType.ADDED, EventType.DELETED]


async def test_age_is_remembered_over_a_restart(store: Store, tmp_path: Path, clock: Clock) -> None:
    for name in ("c", "b", "a"):
        await write(store, name)
        clock.now += 1
    await store.close()
    again = Store(tmp_path / "state.db", RESOURCES, retention=POLICY, clock=clock)
    await again.start()
    await write(again, "d")
    assert names(again) == ["a", "b", "d"]
    await again.close()


async def test_removed_ones_do_not_count(store: Store) -> None:
    for name in "abc":
        await write(store, name)
    await store.write(key("b", resource="events"), remove)
    await write(store, "d")
    assert names(store) == ["a", "c", "d"]
