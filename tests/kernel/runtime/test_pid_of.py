"""A container that joins another one's processes, as an ephemeral container with a target does."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from minipod.runtime.errors import NotFoundError, StartError, WrongStateError
from minipod.runtime.types import ContainerState, ContainerStatus, NamespaceMode, SandboxStatus
from tests.helpers.wait import wait_until
from tests.kernel.runtime.world import World, processes_below

LOOK = "cat /proc/1/cmdline | tr '\\0' ' '; echo; cat /proc/[0-9]*/comm"


async def target(world: World, *args: str, **fields: NamespaceMode) -> tuple[SandboxStatus, ContainerStatus]:
    sandbox = await world.service.run_sandbox(world.sandbox())
    return sandbox, await world.run(sandbox, *(args or ("sleep", "1234")), **fields)


async def output(world: World, container: ContainerStatus) -> str:
    ended = await world.ended(container)
    assert ended.exit is not None
    assert ended.exit.code == 0
    return "\n".join(line.split(" ", 3)[3] for line in ended.log_path.read_text().splitlines())


async def test_it_sees_and_can_signal_the_processes_of_its_target_and_has_a_root_of_its_own(
    world: World,
) -> None:
    sandbox, main = await target(world, "sh", "-c", "trap 'exit 9' USR1; while :; do sleep 0.01; done")
    script = f"{LOOK}; echo own >/mark; ls /proc/1/root/mark /mark 2>&1; kill -USR1 1; exit 0"
    debug = await world.run(sandbox, "sh", "-c", script, name="debug", pid_of=main.id)
    ended = await world.ended(main)
    assert ended.exit is not None
    assert ended.exit.code == 9
    seen = (await world.ended(debug)).log_path.read_text()
    assert "sh -c trap" in seen
    assert "/mark" in seen
    assert "/proc/1/root/mark: No such file" in seen


async def test_namespaces_are_the_targets_for_processes_and_its_own_for_mounts_and_cgroups(
    world: World,
) -> None:
    sandbox, main = await target(world)
    debug = await world.run(sandbox, "sleep", "1000", name="debug", pid_of=main.id)

    def namespace(pid: int, kind: str) -> str:
        return os.readlink(f"/proc/{pid}/ns/{kind}")

    assert namespace(debug.pid, "pid") == namespace(main.pid, "pid") != namespace(sandbox.infra_pid, "pid")
    assert namespace(debug.pid, "net") == namespace(main.pid, "net")
    for own in ("mnt", "cgroup"):
        assert namespace(debug.pid, own) != namespace(main.pid, own)


async def test_the_end_of_the_target_ends_it_and_nothing_stays(world: World) -> None:
    sandbox, main = await target(world)
    debug = await world.run(
        sandbox, "sh", "-c", "setsid sleep 1000 & sleep 1000", name="debug", pid_of=main.id
    )
    os.kill(main.pid, signal.SIGKILL)
    ended = await world.ended(debug)
    assert ended.exit is not None
    assert (ended.exit.code, ended.exit.signal) == (137, 9)
    leaf = world.cgroup_root / world.word / "pod-1" / debug.id
    await asyncio.to_thread(wait_until, lambda: not processes_below(leaf))
    await world.service.remove_container("pod-1", debug.id)
    assert not leaf.exists()
    assert not (world.workdir / "data/pods/pod-1/containers/debug").exists()


async def test_its_own_end_leaves_the_target_alone_and_takes_its_orphans(world: World) -> None:
    sandbox, main = await target(world)
    script = "setsid sleep 1000 >/dev/null 2>&1 & exit 4"
    debug = await world.run_to_end(sandbox, "sh", "-c", script, name="debug", pid_of=main.id)
    assert debug.exit is not None
    assert debug.exit.code == 4
    pod = world.cgroup_root / world.word / "pod-1"
    await asyncio.to_thread(wait_until, lambda: processes_below(pod / main.id) == [main.pid])
    await asyncio.to_thread(wait_until, lambda: not processes_below(pod / debug.id))
    assert world.status(main).state is ContainerState.RUNNING


async def test_a_target_that_dies_before_the_start_is_a_failed_start(world: World) -> None:
    sandbox, main = await target(world)
    config = world.container(sandbox, "sleep", "1000", name="debug", pid_of=main.id)
    await world.service.create_container("pod-1", config)
    await world.service.kill_container("pod-1", main.id)
    await world.ended(main)
    with pytest.raises(StartError):
        await world.service.start_container("pod-1", config.id)


async def test_without_a_running_target_nothing_is_made_and_the_target_is_named(world: World) -> None:
    sandbox, main = await target(world)
    with pytest.raises(NotFoundError, match="no container nope in sandbox pod-1"):
        await world.run(sandbox, "true", name="debug", pid_of="nope")
    created = world.container(sandbox, "true", name="idle")
    await world.service.create_container("pod-1", created)
    with pytest.raises(WrongStateError, match="idle is not running: created"):
        await world.run(sandbox, "true", name="debug", pid_of=created.id)
    await world.service.kill_container("pod-1", main.id)
    await world.ended(main)
    with pytest.raises(WrongStateError, match="main is not running: exited"):
        await world.run(sandbox, "true", name="debug", pid_of=main.id)
    found = world.service.status("pod-1")
    assert found is not None
    assert [c.name for c in found.containers] == ["main", "idle"]
    assert not (world.cgroup_root / world.word / "pod-1" / "debug").exists()


async def test_a_target_in_the_pods_own_pid_namespace_can_be_joined_too(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox(pid=NamespaceMode.POD))
    main = await world.run(sandbox, "sleep", "1234", pid=NamespaceMode.POD)
    debug = await world.run(sandbox, "sh", "-c", LOOK, name="debug", pid_of=main.id)
    assert "sleep" in await output(world, debug)
