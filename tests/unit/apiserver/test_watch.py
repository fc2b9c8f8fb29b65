"""Watching a selection: objects come and go as they begin and cease to be selected."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import core_v1
from minipod.api.errors import StatusError
from minipod.api.scheme import NAMESPACES, PODS
from minipod.apiserver.registry.options import selection
from minipod.apiserver.registry.registry import Registry
from minipod.apiserver.registry.watch import Watch
from minipod.client.interface import EventType
from tests.unit.apiserver.objects import changed, namespace, pod


async def label(registry: Registry, value: str) -> None:
    set_label: Any = changed(lambda p: setattr(p.metadata, "labels", {"app": value}))
    await registry.update(PODS, "web", "default", set_label)


async def heard(watch: Watch) -> list[tuple[EventType, str]]:
    return [(d.type, d.stored.key.name) for d in await watch.next()]


async def test_a_label_that_changes_adds_and_deletes(registry: Registry) -> None:
    await registry.create(PODS, pod(labels={"app": "x"}), "default")
    watch = registry.watch(PODS, selection(PODS, "default", "app=y"))
    assert watch.initial == []
    await label(registry, "y")
    assert await heard(watch) == [(EventType.ADDED, "web")]
    await label(registry, "x")
    [gone] = await watch.next()
    assert gone.type is EventType.DELETED
    assert gone.stored.obj.metadata.labels == {"app": "y"}
    assert gone.stored.obj.metadata.resourceVersion == str(registry.version)
    await label(registry, "z")
    await label(registry, "y")
    assert await heard(watch) == [(EventType.ADDED, "web")]
    await registry.delete(PODS, "web", "default")
    assert await heard(watch) == [(EventType.DELETED, "web")]


async def test_a_kubelet_hears_of_its_pods_only(registry: Registry) -> None:
    watch = registry.watch(PODS, selection(PODS, field_selector="spec.nodeName=here"))
    await registry.create(PODS, pod("other", node="there"), "default")
    await registry.create(PODS, pod(), "default")
    await registry.bind(
        core_v1.Binding(target=core_v1.ObjectReference(kind="Node", name="here")), "web", "default"
    )
    assert await heard(watch) == [(EventType.ADDED, "web")]


async def test_other_namespaces_are_not_heard(registry: Registry) -> None:
    await registry.create(NAMESPACES, namespace("other"))
    watch = registry.watch(PODS, selection(PODS, "other"))
    await registry.create(PODS, pod(), "default")
    await registry.create(PODS, pod("mine", "other"), "other")
    assert await heard(watch) == [(EventType.ADDED, "mine")]


async def test_what_exists_comes_first_unless_a_version_is_given(registry: Registry) -> None:
    stored = await registry.create(PODS, pod(), "default")
    assert registry.watch(PODS).initial == [stored]
    assert registry.watch(PODS, version=registry.version).initial == []
    watch = registry.watch(PODS, version=stored.version - 1)
    assert await heard(watch) == [(EventType.ADDED, "web")]


async def test_a_version_from_before_the_start_is_gone(registry: Registry) -> None:
    await registry.create(PODS, pod(), "default")
    registry._store._tables["pods"].window.oldest = 5
    with pytest.raises(StatusError, match="too old resource version: 1") as refused:
        registry.watch(PODS, version=1)
    assert (refused.value.code, refused.value.reason) == (410, "Expired")


async def test_a_reader_that_is_too_slow_is_told(registry: Registry) -> None:
    await registry.create(PODS, pod(), "default")
    watch = registry.watch(PODS, version=registry.version)
    registry._store._tables["pods"].window._max_changes = 3
    for number in range(8):
        await label(registry, str(number))
    with pytest.raises(StatusError) as refused:
        await watch.next()
    assert refused.value.code == 410
