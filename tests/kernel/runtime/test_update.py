"""Changing the resources and labels of what runs: all or nothing, and known to every later daemon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minipod.linux.cgroup2 import cgroup
from minipod.runtime.errors import NotFoundError, RuntimeServiceError, WrongStateError
from minipod.runtime.types import ContainerStatus, SandboxStatus
from tests.kernel.runtime.world import World

pytestmark = pytest.mark.skipif(
    "hugetlb" not in cgroup.controllers(cgroup.mount_point()),
    reason="cgroup2 has no hugetlb controller here",
)

PAGE = 2 * 1024 * 1024
LIMIT, RESERVED = "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"


async def sleeper(world: World) -> tuple[SandboxStatus, ContainerStatus]:
    sandbox = await world.service.run_sandbox(world.sandbox(resources={LIMIT: str(9 * PAGE)}))
    limits = {"hugepageLimits": [{"pageSize": "2MB", "limit": 2 * PAGE}]}
    return sandbox, await world.run(sandbox, "sleep", "1000", resources=limits, labels={"a": "1", "b": "2"})


def leaf(world: World, container: ContainerStatus) -> Path:
    return world.cgroup_root / world.word / "pod-1" / container.id


async def test_the_resources_written_at_creation_are_on_record(world: World) -> None:
    sandbox, container = await sleeper(world)
    assert sandbox.resources == {LIMIT: str(9 * PAGE)}
    assert container.resources[LIMIT] == str(2 * PAGE)


async def test_an_update_is_in_force_on_record_and_known_to_the_next_daemon(world: World) -> None:
    _, container = await sleeper(world)
    files, labels = {LIMIT: str(4 * PAGE), RESERVED: str(5 * PAGE)}, {"b": "3", "c": "4"}
    await world.service.update_container("pod-1", container.id, files, labels=labels)
    await world.service.update_sandbox("pod-1", {LIMIT: str(8 * PAGE)})
    group = leaf(world, container)
    assert {name: cgroup.read(group, name) for name in files} == files
    assert cgroup.read(group.parent, LIMIT) == str(8 * PAGE)
    other = world.new_service()
    await other.start()
    try:
        for service in (world.service, other):
            sandbox = service.status("pod-1")
            assert sandbox is not None
            assert sandbox.resources == {LIMIT: str(8 * PAGE)}
            found = sandbox.container(container.id)
            assert found is not None
            assert found.resources == {**container.resources, **files}
            assert found.labels == {"a": "1", "b": "3", "c": "4"}
            assert found.pid == container.pid
    finally:
        await other.stop()


async def test_it_is_told_to_whoever_subscribed(world: World) -> None:
    _, container = await sleeper(world)
    told: list[str] = []
    unsubscribe = world.service.subscribe(told.append)
    await world.service.update_container("pod-1", container.id, {}, labels={"x": "y"})
    unsubscribe()
    assert told == ["pod-1"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (LIMIT, "much", "invalid argument"),
        ("nosuch.max", "1", "the cgroup v2 controller nosuch is not available here"),
        ("cgroup.procs", "1", "not a controller's file"),
        ("../cgroup.kill", "1", "not a controller's file"),
        ("hugetlb.2MB.current", "1", ""),
    ],
)
async def test_a_value_that_is_refused_changes_nothing_and_is_named(
    world: World, name: str, value: str, reason: str
) -> None:
    _, container = await sleeper(world)
    group = leaf(world, container)
    before = {file: cgroup.read(group, file) for file in (LIMIT, RESERVED)}
    files = {RESERVED: str(7 * PAGE), LIMIT: str(6 * PAGE), name: value}
    if name == LIMIT:
        files = {RESERVED: str(7 * PAGE), name: value}
    with pytest.raises(RuntimeServiceError, match=f"cannot set '?{re.escape(name)}.*{re.escape(reason)}"):
        await world.service.update_container("pod-1", container.id, files, labels={"b": "9"})
    assert {file: cgroup.read(group, file) for file in (LIMIT, RESERVED)} == before
    found = world.status(container)
    assert (found.resources, found.labels) == (container.resources, container.labels)
    with pytest.raises(RuntimeServiceError, match=re.escape(name)):
        await world.service.update_sandbox("pod-1", files)
    sandbox = world.service.status("pod-1")
    assert sandbox is not None
    assert sandbox.resources == {LIMIT: str(9 * PAGE)}


async def test_a_container_that_has_ended_takes_labels_only(world: World) -> None:
    _, container = await sleeper(world)
    with pytest.raises(NotFoundError):
        await world.service.update_container("pod-1", "nope", {})
    with pytest.raises(NotFoundError):
        await world.service.update_sandbox("pod-2", {})
    await world.service.kill_container("pod-1", container.id)
    ended = await world.ended(container)
    with pytest.raises(WrongStateError, match="main is not running: exited"):
        await world.service.update_container("pod-1", container.id, {LIMIT: "0"})
    await world.service.update_container("pod-1", container.id, {}, labels={"b": "late"})
    found = world.status(container)
    assert found.labels == {"a": "1", "b": "late"}
    assert (found.exit, found.resources) == (ended.exit, ended.resources)
