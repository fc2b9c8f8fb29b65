"""An informer misses nothing, whatever breaks between it and the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from minipod.api import codec, errors
from minipod.api.scheme import PODS, Resource
from minipod.apiserver.registry.registry import Registry
from minipod.client.informer import Informer
from minipod.client.inprocess import InProcessClient
from minipod.client.interface import ObjectList, WatchEvent
from tests.unit.apiserver.objects import pod


class Heard:
    """What handlers were told, as words."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._news = asyncio.Event()

    def add(self, obj: Any) -> None:
        self._say(f"+{obj.metadata.name}")

    def update(self, old: Any, new: Any) -> None:
        assert old.metadata.resourceVersion != new.metadata.resourceVersion
        self._say(f"~{new.metadata.name}")

    def delete(self, obj: Any) -> None:
        self._say(f"-{obj.metadata.name}")

    def _say(self, word: str) -> None:
        self.words.append(word)
        self._news.set()

    async def until(self, *words: str) -> None:
        try:
            async with asyncio.timeout(5):
                while self.words != list(words):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            assert self.words == list(words)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def follow(client: Any, heard: Heard, **options: Any) -> Informer:
    informer = Informer(
        client, PODS, on_add=heard.add, on_update=heard.update, on_delete=heard.delete, **options
    )
    informer.start()
    return informer


async def relabel(client: InProcessClient, name: str) -> None:
    changed = codec.copy(await client.get(PODS, name, "default"))
    changed.metadata.labels["x"] = "y"
    await client.update(PODS, changed)


async def test_it_follows_every_change(client: InProcessClient, heard: Heard) -> None:
    await client.create(PODS, pod("a"))
    informer = follow(client, heard)
    await informer.synced()
    assert heard.words == ["+a"]
    await client.create(PODS, pod("b"))
    await relabel(client, "a")
    await client.delete(PODS, "b", "default")
    await heard.until("+a", "+b", "~a", "-b")
    assert informer.get("a", "default") is await client.get(PODS, "a", "default")
    assert [obj.metadata.name for obj in informer.list()] == ["a"]
    await informer.stop()


async def test_after_a_break_it_reports_the_difference(
    client: InProcessClient, registry: Registry, heard: Heard
) -> None:
    flaky = Flaky(client)
    for name in ("kept", "changed", "removed", "replaced"):
        await client.create(PODS, pod(name))
    informer = follow(flaky, heard)
    await informer.synced()
    heard.words.clear()
    flaky.deaf = True
    await relabel(client, "changed")
    await client.delete(PODS, "removed", "default")
    await client.delete(PODS, "replaced", "default")
    await client.create(PODS, pod("replaced"))
    await client.create(PODS, pod("added"))
    flaky.break_watch()
    await heard.until("-removed", "+added", "~changed", "-replaced", "+replaced")
    await relabel(client, "kept")
    await heard.until("-removed", "+added", "~changed", "-replaced", "+replaced", "~kept")
    await informer.stop()


async def test_it_tries_again_when_the_api_does_not_answer(
    client: InProcessClient, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipod.client.informer.FIRST_RETRY", 0.001)
    flaky = Flaky(client, failures=3)
    await client.create(PODS, pod("a"))
    informer = follow(flaky, heard)
    await asyncio.wait_for(informer.synced(), 5)
    assert heard.words == ["+a"]
    await informer.stop()


async def test_a_handler_that_fails_does_not_end_it(
    client: InProcessClient, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    def add(obj: Any) -> None:
        heard.add(obj)
        raise RuntimeError("a handler's mistake")

    informer = Informer(client, PODS, on_add=add)
    informer.start()
    await client.create(PODS, pod("a"))
    await client.create(PODS, pod("b"))
    await heard.until("+a", "+b")
    assert "a handler's mistake" in caplog.text
    await informer.stop()


async def test_it_follows_a_selection(client: InProcessClient, heard: Heard) -> None:
    informer = follow(client, heard, field_selector="spec.nodeName=here")
    await informer.synced()
    created = await client.create(PODS, pod("a"))
    await client.create(PODS, pod("b"))
    await client.bind(created, "here")
    await heard.until("+a")
    await informer.stop()


class Flaky:
    """A client whose watches break and whose lists fail when told to."""

    def __init__(self, client: InProcessClient, failures: int = 0) -> None:
        self._client = client
        self._failures = failures
        self._broken = asyncio.Event()
        self.deaf = False

    def break_watch(self) -> None:
        self._broken.set()

    async def list(self, resource: Resource, namespace: str = "", **selectors: str) -> ObjectList:
        if self._failures:
            self._failures -= 1
            raise errors.service_unavailable("not now")
        return await self._client.list(resource, namespace, **selectors)

    async def watch(
        self, resource: Resource, namespace: str = "", **options: str
    ) -> AsyncIterator[WatchEvent]:
        events = self._client.watch(resource, namespace, **options)
        broken = asyncio.create_task(self._broken.wait())
        try:
            while True:
                following = asyncio.ensure_future(_next(events))
                await asyncio.wait((following, broken), return_when=asyncio.FIRST_COMPLETED)
                if broken.done():
                    following.cancel()
                    self._broken.clear()
                    self.deaf = False
                    raise errors.expired("too old resource version")
                if not self.deaf:
                    yield following.result()
        finally:
            broken.cancel()


async def _next(events: AsyncIterator[WatchEvent]) -> WatchEvent:
    return await anext(events)
