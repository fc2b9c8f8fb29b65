"""The API for those who live in the same process."""

from __future__ import annotations

import asyncio

import pytest

from minipod.api import codec, core_v1
from minipod.api.errors import StatusError
from minipod.api.scheme import EVENTS, PODS
from minipod.apiserver.registry.registry import Registry
from minipod.client.inprocess import InProcessClient
from minipod.client.interface import Client, EventType, WatchEvent
from tests.unit.apiserver.objects import event, pod


async def test_it_is_a_client(client: InProcessClient) -> None:
    served: Client = client
    created = await served.create(PODS, pod())
    assert await served.get(PODS, "web", "default") is created
    listed = await served.list(
        PODS, "default", label_selector="app=x", field_selector="status.phase=Pending"
    )
    assert listed.items == []
    listed = await served.list(PODS)
    assert (listed.items, listed.resource_version) == ([created], created.metadata.resourceVersion)


async def test_the_callers_object_stays_the_callers(client: InProcessClient) -> None:
    mine = pod()
    created = await client.create(PODS, mine)
    assert mine.metadata.uid is None
    mine.metadata.labels["late"] = "change"
    assert created.metadata.labels == {}
    recorded = event("e")
    await client.create(EVENTS, recorded)
    recorded.count = 7
    await client.update(EVENTS, recorded)
    recorded.count = 8
    assert (await client.get(EVENTS, "e", "default")).count == 7


async def test_a_status_is_written_without_the_rest(client: InProcessClient) -> None:
    created = await client.create(PODS, pod(labels={"a": "b"}))
    status = core_v1.Pod(
        metadata=codec.copy(created.metadata), spec=created.spec, status=core_v1.PodStatus(phase="Running")
    )
    status.metadata.resourceVersion = None
    updated = await client.update(PODS, status, subresource="status")
    assert (updated.status.phase, updated.metadata.labels) == ("Running", {"a": "b"})
    assert updated.spec is created.spec
    status.metadata.uid = "0-0"
    with pytest.raises(StatusError) as refused:
        await client.update(PODS, status, subresource="status")
    assert refused.value.code == 409


async def test_binding_and_deleting(client: InProcessClient) -> None:
    created = await client.create(PODS, pod())
    await client.bind(created, "here")
    assert (await client.get(PODS, "web", "default")).spec.nodeName == "here"
    with pytest.raises(StatusError):
        await client.bind(created, "there")
    marked = await client.delete(PODS, "web", "default", grace_period_seconds=3)
    assert marked.metadata.deletionGracePeriodSeconds == 3
    with pytest.raises(StatusError, match="Precondition failed"):
        await client.delete(PODS, "web", "default", grace_period_seconds=0, uid="0-0")
    await client.delete(PODS, "web", "default", grace_period_seconds=0, uid=created.metadata.uid)
    with pytest.raises(StatusError, match="not found"):
        await client.get(PODS, "web", "default")


async def test_a_watch_begins_with_what_there_is(client: InProcessClient) -> None:
    await client.create(PODS, pod("a", node="here"))
    await client.create(PODS, pod("b"))
    seen: list[WatchEvent] = []

    async def follow() -> None:
        async for found in client.watch(PODS, field_selector="spec.nodeName=here"):
            seen.append(found)
            if len(seen) == 3:
                return

    follower = asyncio.create_task(follow())
    await asyncio.sleep(0)
    await client.bind(await client.get(PODS, "b", "default"), "here")
    await client.delete(PODS, "a", "default", grace_period_seconds=0)
    await asyncio.wait_for(follower, 5)
    assert [(e.type, e.object.metadata.name) for e in seen] == [
        (EventType.ADDED, "a"),
        (EventType.ADDED, "b"),
        (EventType.DELETED, "a"),
    ]
    assert seen[1].object is await client.get(PODS, "b", "default")


async def test_a_watch_from_a_version_that_is_gone(client: InProcessClient, registry: Registry) -> None:
    await client.create(PODS, pod())
    registry._store._tables["pods"].window.oldest = 5
    with pytest.raises(StatusError) as refused:
        async for _ in client.watch(PODS, resource_version="1"):
            pass
    assert refused.value.code == 410
