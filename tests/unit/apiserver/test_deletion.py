"""How objects go: grace periods, finalizers, preconditions, namespaces."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from minipod.api import core_v1, timestamps
from minipod.api.errors import StatusError
from minipod.api.scheme import EVENTS, NAMESPACES, NODES, PODS, RESOURCES
from minipod.apiserver.registry.options import DeleteOptions, Selection
from minipod.apiserver.registry.registry import Registry
from minipod.client.interface import EventType
from minipod.storage.store import Store
from tests.unit.apiserver.objects import changed, event, namespace, node, pod


def grace(seconds: int) -> DeleteOptions:
    return DeleteOptions(grace_period_seconds=seconds)


def exists(registry: Registry, name: str = "web", where: str = "default") -> bool:
    return any(s.key.name == name for s in registry.list(PODS, Selection(where)).items)


def let_go(obj: core_v1.Pod) -> None:
    obj.metadata.finalizers = []


async def test_a_pod_that_is_nowhere_goes_at_once(registry: Registry) -> None:
    await registry.create(PODS, pod(), "default")
    written = await registry.delete(PODS, "web", "default", grace(30))
    assert written.removed
    assert not exists(registry)


async def test_a_pod_on_a_node_is_given_its_time(registry: Registry) -> None:
    await registry.create(PODS, pod(node="here"), "default")
    options = DeleteOptions(requested_at=timestamps.to_epoch_us("2026-01-02T03:04:05Z"))
    written = await registry.delete(PODS, "web", "default", options)
    assert not written.removed
    meta = registry.get(PODS, "web", "default").obj.metadata
    assert meta.deletionTimestamp == "2026-01-02T03:04:35Z"
    assert meta.deletionGracePeriodSeconds == 30
    assert meta.generation == 2


async def test_the_time_can_be_shortened_but_not_lengthened(registry: Registry) -> None:
    await registry.create(PODS, pod(node="here"), "default")
    options = DeleteOptions(
        grace_period_seconds=20, requested_at=timestamps.to_epoch_us("2026-01-02T03:04:00Z")
    )
    await registry.delete(PODS, "web", "default", options)
    await registry.delete(PODS, "web", "default", grace(60))
    await registry.delete(PODS, "web", "default")
    meta = registry.get(PODS, "web", "default").obj.metadata
    assert (meta.deletionTimestamp, meta.deletionGracePeriodSeconds) == ("2026-01-02T03:04:20Z", 20)
    await registry.delete(PODS, "web", "default", grace(5))
    meta = registry.get(PODS, "web", "default").obj.metadata
    assert (meta.deletionTimestamp, meta.deletionGracePeriodSeconds) == ("2026-01-02T03:04:05Z", 5)
    assert (await registry.delete(PODS, "web", "default", grace(0))).removed
    assert not exists(registry)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_pod_that_has_ended_goes_at_once(registry: Registry, phase: str) -> None:
    await registry.create(PODS, pod(node="here"), "default")
    end = changed(lambda p: setattr(p.status, "phase", phase))
    await registry.update(PODS, "web", "default", end, subresource="status")
    assert (await registry.delete(PODS, "web", "default")).removed


async def test_a_negative_grace_period_is_a_second(registry: Registry) -> None:
    await registry.create(PODS, pod(node="here"), "default")
    await registry.delete(PODS, "web", "default", grace(-5))
    assert registry.get(PODS, "web", "default").obj.metadata.deletionGracePeriodSeconds == 1


async def test_finalizers_keep_an_object_until_the_last_is_gone(registry: Registry) -> None:
    await registry.create(PODS, pod(finalizers=["example.com/keep"]), "default")
    assert not (await registry.delete(PODS, "web", "default", grace(0))).removed
    assert not (await registry.delete(PODS, "web", "default", grace(0))).removed
    meta = registry.get(PODS, "web", "default").obj.metadata
    assert meta.deletionGracePeriodSeconds == 0
    watch = registry.watch(PODS, version=registry.version)
    await registry.update(PODS, "web", "default", changed(let_go))
    assert not exists(registry)
    assert [d.type for d in await watch.next()] == [EventType.DELETED]


async def test_a_graceful_deletion_waits_for_both_the_kubelet_and_the_finalizers(registry: Registry) -> None:
    await registry.create(PODS, pod(node="here", finalizers=["example.com/keep"]), "default")
    await registry.delete(PODS, "web", "default")
    await registry.update(PODS, "web", "default", changed(let_go))
    assert exists(registry)
    assert (await registry.delete(PODS, "web", "default", grace(0))).removed


async def test_preconditions_are_checked(registry: Registry) -> None:
    created = (await registry.create(PODS, pod(), "default")).obj
    for options in (DeleteOptions(uid="0-0"), DeleteOptions(resource_version="1")):
        with pytest.raises(StatusError, match="Precondition failed") as refused:
            await registry.delete(PODS, "web", "default", options)
        assert refused.value.code == 409
    options = DeleteOptions(uid=created.metadata.uid, resource_version=created.metadata.resourceVersion)
    assert (await registry.delete(PODS, "web", "default", options)).removed


async def test_what_is_not_there_cannot_be_deleted(registry: Registry) -> None:
    with pytest.raises(StatusError, match='pods "web" not found'):
        await registry.delete(PODS, "web", "default")


async def test_dry_run_deletes_nothing(registry: Registry) -> None:
    await registry.create(PODS, pod(), "default")
    assert (await registry.delete(PODS, "web", "default", DeleteOptions(dry_run=True))).removed
    assert exists(registry)


async def test_a_collection_is_deleted_by_selection(registry: Registry) -> None:
    for name in "abc":
        await registry.create(PODS, pod(name, labels={"n": name}), "default")
    await registry.create(NODES, node())
    deleted = await registry.delete_collection(PODS, Selection("default"))
    assert [s.key.name for s in deleted] == ["a", "b", "c"]
    assert registry.list(PODS).items == []
    assert len(registry.list(NODES).items) == 1


async def gone(registry: Registry, name: str) -> None:
    watch = registry.watch(NAMESPACES)
    if all(s.key.name != name for s in watch.initial):
        return
    async with asyncio.timeout(5):
        while not any(d.type is EventType.DELETED and d.stored.key.name == name for d in await watch.next()):
            pass


async def test_a_namespace_takes_its_content_along(registry: Registry) -> None:
    await registry.create(NAMESPACES, namespace("mine"))
    await registry.create(PODS, pod("loose", "mine"), "mine")
    await registry.create(PODS, pod("placed", "mine", node="here"), "mine")
    await registry.create(EVENTS, event("e", namespace="mine"), "mine")
    await registry.create(PODS, pod(), "default")
    written = await registry.delete(NAMESPACES, "mine")
    assert not written.removed
    assert registry.get(NAMESPACES, "mine").obj.status.phase == "Terminating"
    with pytest.raises(StatusError, match="because it is being terminated") as refused:
        await registry.create(PODS, pod("late", "mine"), "mine")
    assert refused.value.code == 403
    watch = registry.watch(PODS)
    while exists(registry, "loose", "mine"):
        await watch.next()
    assert registry.get(PODS, "placed", "mine").obj.metadata.deletionTimestamp
    await registry.delete(PODS, "placed", "mine", grace(0))
    await gone(registry, "mine")
    assert registry.list(EVENTS, Selection("mine")).items == []
    assert exists(registry)


async def test_an_empty_namespace_goes_and_can_come_back(registry: Registry) -> None:
    for _ in range(2):
        await registry.create(NAMESPACES, namespace("mine"))
        await registry.delete(NAMESPACES, "mine")
        await gone(registry, "mine")


async def test_the_systems_namespaces_stay(registry: Registry) -> None:
    with pytest.raises(StatusError, match="this namespace may not be deleted") as refused:
        await registry.delete(NAMESPACES, "default")
    assert refused.value.code == 403


async def test_an_interrupted_end_of_a_namespace_is_finished_at_the_next_start(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db", RESOURCES)
    await store.start()
    registry = Registry(store)
    await registry.start()
    await registry.create(NAMESPACES, namespace("mine"))
    await registry.create(PODS, pod("p", "mine"), "mine")
    await registry.delete(NAMESPACES, "mine")
    await registry.stop()
    await store.close()
    store = Store(tmp_path / "state.db", RESOURCES)
    await store.start()
    registry = Registry(store)
    assert registry.get(NAMESPACES, "mine")
    await registry.start()
    await gone(registry, "mine")
    await registry.stop()
    await store.close()
