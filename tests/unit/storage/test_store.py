"""Reading, writing and the order of versions."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from minipod.api import codec
from minipod.api.scheme import RESOURCES
from minipod.storage import database
from minipod.storage.errors import DatabaseError, WriteFailedError
from minipod.storage.interface import Keep, Put, Stored
from minipod.storage.store import Store
from tests.unit.storage.objects import key, labelled, pod, put, remove


async def reopened(store: Store, tmp_path: Path) -> Store:
    await store.close()
    again = Store(tmp_path / "state.db", RESOURCES)
    await again.start()
    return again


async def test_an_object_is_read_back_with_its_version(store: Store) -> None:
    written = await store.write(key("a"), put(pod("a")))
    stored = store.get(key("a"))
    assert stored is written.stored
    assert stored is not None
    assert stored.obj.metadata.resourceVersion == str(stored.version)
    assert codec.decode(type(stored.obj), stored.encoded) == stored.obj


async def test_nothing_is_visible_before_the_disk_has_it(store: Store) -> None:
    task = asyncio.create_task(store.write(key("a"), put(pod("a"))))
    await asyncio.sleep(0)
    assert store.get(key("a")) is None
    assert store.latest(key("a")) is not None
    await task
    assert store.get(key("a")) is not None


async def test_versions_rise_by_one_over_all_resources(store: Store) -> None:
    first = await store.write(key("a"), put(pod("a")))
    second = await store.write(key("b", "other"), put(pod("b", "other")))
    assert first.stored is not None
    assert second.stored is not None
    assert second.stored.version == first.stored.version + 1 == store.version


async def test_lists_come_in_the_order_of_namespace_and_name(store: Store) -> None:
    for namespace, name in (("b", "x"), ("a", "z"), ("a", "m"), ("ab", "c"), ("a-b", "d")):
        await store.write(key(name, namespace), put(pod(name, namespace)))
    assert [s.key[1:] for s in store.list("pods")] == sorted(
        [("a", "m"), ("a", "z"), ("a-b", "d"), ("ab", "c"), ("b", "x")]
    )
    assert [s.key.name for s in store.list("pods", "a")] == ["m", "z"]
    assert store.list("pods", "nowhere") == []
    assert store.list("nodes") == []


async def test_concurrent_updates_build_upon_each_other_and_share_commits(store: Store) -> None:
    await store.write(key("a"), put(pod("a")))
    await asyncio.gather(*(store.write(key("a"), labelled(f"k{n}", str(n))) for n in range(50)))
    stored = store.get(key("a"))
    assert stored is not None
    assert stored.obj.metadata.labels == {f"k{n}": str(n) for n in range(50)}


async def test_a_decision_sees_what_is_still_on_its_way(store: Store) -> None:
    seen: list[Stored | None] = []

    def look(latest: Stored | None) -> Keep:
        seen.append(latest)
        return Keep()

    await asyncio.gather(store.write(key("a"), put(pod("a"))), store.write(key("a"), look))
    await asyncio.gather(store.write(key("a"), remove), store.write(key("a"), look))
    assert [bool(s) for s in seen] == [True, False]


async def test_a_refusal_changes_nothing(store: Store) -> None:
    def refuse(latest: Stored | None) -> Put:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.write(key("a"), refuse)
    assert store.version == 0
    assert store.latest(key("a")) is None


async def test_a_cancelled_writer_does_not_undo_the_write(store: Store) -> None:
    task = asyncio.create_task(store.write(key("a"), put(pod("a"))))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.write(key("b"), put(pod("b")))
    assert store.get(key("a")) is not None


async def test_everything_is_there_after_a_restart(store: Store, tmp_path: Path) -> None:
    await store.write(key("a"), put(pod("a", labels={"x": "y"}), durable=True))
    await store.write(key("b"), put(pod("b")))
    await store.write(key("b"), remove)
    version = store.version
    again = await reopened(store, tmp_path)
    try:
        assert again.version == version
        assert [s.key.name for s in again.list("pods")] == ["a"]
        assert again.list("pods")[0].obj.metadata.labels == {"x": "y"}
    finally:
        await again.close()


async def test_after_a_reboot_no_version_is_given_out_twice(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write(key("a"), put(pod("a")))
    monkeypatch.setattr(database, "_boot_id", lambda: "another boot")
    again = await reopened(store, tmp_path)
    assert again.version >= 1 + database.BOOT_GAP
    version = again.version
    again = await reopened(again, tmp_path)
    assert again.version == version
    await again.close()


async def test_a_full_disk_is_said_and_survived(store: Store) -> None:
    await store.write(key("a"), put(pod("a")))
    connection = store._database._connection
    assert connection is not None
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    big = {"x": "y" * 200_000}
    with pytest.raises(WriteFailedError, match="full") as failed:
        await store.write(key("big"), put(pod("big", labels=big)))
    assert failed.value.no_space
    assert store.latest(key("big")) is None
    small = await store.write(key("a"), labelled("k", "v"))
    assert small.stored is store.get(key("a"))
    connection.execute("PRAGMA max_page_count = 1000000")
    await store.write(key("big"), put(pod("big", labels=big)))
    assert store.get(key("big")) is not None


async def test_one_write_too_many_fails_alone_and_takes_only_its_followers(store: Store) -> None:
    await store.write(key("a"), put(pod("a")))
    connection = store._database._connection
    assert connection is not None
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    results = await asyncio.gather(
        store.write(key("a"), labelled("k", "v")),
        store.write(key("big"), put(pod("big", labels={"x": "y" * 200_000}))),
        store.write(key("big"), labelled("small", "change")),
        store.write(key("a"), labelled("l", "w")),
        return_exceptions=True,
    )
    assert [isinstance(r, WriteFailedError) for r in results] == [False, True, True, False]
    stored = store.get(key("a"))
    assert stored is not None
    assert stored.obj.metadata.labels == {"k": "v", "l": "w"}
    assert store.latest(key("big")) is None


async def test_a_second_daemon_is_refused(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "state.db", RESOURCES)
    with pytest.raises(DatabaseError, match="another daemon"):
        await other.start()


async def test_a_database_from_the_future_is_refused(store: Store, tmp_path: Path) -> None:
    await store.close()
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute(f"PRAGMA user_version = {database.SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(DatabaseError, match="newer minipod"):
        await Store(tmp_path / "state.db", RESOURCES).start()


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be read as one" * 40, None])
async def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other.db"
    if content is not None:
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 7")
        connection.close()
    with pytest.raises(DatabaseError):
        await Store(path, RESOURCES).start()


async def test_an_unreadable_object_is_left_out_and_left_alone(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store.write(key("a"), put(pod("a")))
    await store.write(key("b"), put(pod("b")))
    await store.close()
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE objects SET value = ? WHERE name = 'a'", (b'{"spec": 3}',))
    connection.close()
    again = Store(tmp_path / "state.db", RESOURCES)
    await again.start()
    assert [s.key.name for s in again.list("pods")] == ["b"]
    assert "cannot read a stored object" in caplog.text
    await again.close()


async def test_the_file_is_for_root_alone(store: Store, tmp_path: Path) -> None:
    await store.write(key("a"), put(pod("a")))
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}
