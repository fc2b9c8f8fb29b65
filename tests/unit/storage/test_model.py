"""The store against a dict: whatever is done in whatever order, both hold the same, and a watcher can follow."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from minipod.api.scheme import RESOURCES
from minipod.client.interface import EventType
from minipod.storage.interface import Key
from minipod.storage.store import Store
from minipod.storage.window import Cursor
from tests.unit.storage.objects import key, labelled, pod, put, remove

T = TypeVar("T")
names = st.sampled_from(["a", "b", "c"])
namespaces = st.sampled_from(["one", "two"])
values = st.text("xyz", max_size=3)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp())
        self.model: dict[Key, dict[str, str]] = {}
        self.followed: dict[Key, dict[str, str]] = {}

    @initialize()
    def start(self) -> None:
        self.store = Store(self.directory / "state.db", RESOURCES, max_changes=12)
        self.run(self.store.start())
        self.follow(self.store.watch("pods"))

    def follow(self, cursor: Cursor) -> None:
        self.cursor = cursor

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    @rule(name=names, namespace=namespaces, value=values)
    def store_one(self, name: str, namespace: str, value: str) -> None:
        where = key(name, namespace)
        self.run(self.store.write(where, put(pod(name, namespace, {"v": value}))))
        self.model[where] = {"v": value}

    @rule(name=names, namespace=namespaces, value=values)
    def change_one(self, name: str, namespace: str, value: str) -> None:
        where = key(name, namespace)
        if where in self.model:
            self.run(self.store.write(where, labelled("w", value)))
            self.model[where] = {**self.model[where], "w": value}

    @rule(name=names, namespace=namespaces)
    def remove_one(self, name: str, namespace: str) -> None:
        where = key(name, namespace)
        written = self.run(self.store.write(where, remove))
        assert written.removed == (self.model.pop(where, None) is not None)

    @rule(name=names, namespace=namespaces, writes=st.lists(st.one_of(st.none(), values), max_size=5))
    def do_several_at_once(self, name: str, namespace: str, writes: list[str | None]) -> None:
        where = key(name, namespace)

        async def all_at_once() -> None:
            await asyncio.gather(
                *(
                    self.store.write(
                        where, remove if value is None else put(pod(name, namespace, {"v": value}))
                    )
                    for value in writes
                )
            )

        self.run(all_at_once())
        for value in writes:
            if value is None:
                self.model.pop(where, None)
            else:
                self.model[where] = {"v": value}

    @rule()
    def restart(self) -> None:
        self.catch_up()
        self.run(self.store.close())
        self.start()

    @invariant()
    def the_store_holds_what_the_model_holds(self) -> None:
        found = {s.key: dict(s.obj.metadata.labels) for s in self.store.list("pods")}
        assert found == self.model
        assert list(found) == sorted(found)

    @rule()
    def catch_up(self) -> None:
        while changes := self.cursor.read(limit=3):
            for change in changes:
                previous = change.previous
                assert (previous is None) == (change.type is EventType.ADDED)
                assert self.followed.get(change.stored.key) == (
                    dict(previous.obj.metadata.labels) if previous else None
                )
                if change.type is EventType.DELETED:
                    del self.followed[change.stored.key]
                else:
                    self.followed[change.stored.key] = dict(change.stored.obj.metadata.labels)
        assert self.followed == self.model

    @invariant()
    def a_follower_is_never_further_behind_than_the_window(self) -> None:
        if self.store.version - self.cursor.version >= 5:
            self.catch_up()

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        shutil.rmtree(self.directory)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
