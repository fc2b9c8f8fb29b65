"""Limits of cgroup v2 controllers, where the host has them (in the virtual machine, for one)."""

from __future__ import annotations

import pytest

from minipod.linux.cgroup2 import cgroup
from minipod.runtime.errors import RuntimeServiceError, StartError
from minipod.runtime.types import ExecConfig
from tests.kernel.runtime.world import World, process


def needs(controller: str) -> pytest.MarkDecorator:
    missing = controller not in cgroup.controllers(cgroup.mount_point())
    return pytest.mark.skipif(missing, reason=f"cgroup2 has no {controller} controller here")


@needs("memory")
async def test_a_container_over_its_memory_limit_is_reported_as_oom_killed(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    limits = {"unified": {"memory.max": str(16 << 20), "memory.swap.max": "0", "memory.oom.group": "1"}}
    status = await world.run_to_end(sandbox, "sh", "-c", "cat /dev/zero | tail", resources=limits)
    assert status.exit is not None
    assert (status.exit.code, status.exit.signal) == (137, 9)
    assert status.exit.oom_killed
    calm = await world.run_to_end(sandbox, "sh", "-c", "exit 1", resources=limits, attempt=1)
    assert calm.exit is not None
    assert not calm.exit.oom_killed


@needs("memory")
async def test_a_pods_memory_limit_spares_its_shim(world: World) -> None:
    sandbox = await world.service.run_sandbox(
        world.sandbox(resources={"memory.max": str(24 << 20), "memory.swap.max": "0"})
    )
    status = await world.run_to_end(sandbox, "sh", "-c", "cat /dev/zero | tail; exit 9")
    assert status.exit is not None
    assert status.exit.oom_killed or status.exit.code == 9
    again = await world.run_to_end(sandbox, "sh", "-c", "exit 0", attempt=1)
    assert again.exit is not None
    assert again.exit.code == 0


@needs("pids")
async def test_a_pid_limit_that_is_too_small_is_named(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox(resources={"pids.max": "2"}))
    config = world.container(sandbox, "true")
    await world.service.create_container("pod-1", config)
    with pytest.raises(StartError, match="pids limit"):
        await world.service.start_container("pod-1", config.id)
    one = await world.service.run_sandbox(world.sandbox("pod-2"))
    status = await world.run_to_end(one, "sh", "-c", "true & wait; exit 0", resources={"pids": {"limit": 1}})
    assert status.exit is not None
    assert status.exit.code != 0
    assert b"fork" in status.log_path.read_bytes()


@needs("cpu")
async def test_limits_are_in_the_cgroup_files(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox(resources={"cpu.weight": "50"}))
    limits = {"cpu": {"quota": 50_000, "period": 100_000}, "unified": {"cpu.weight": "7"}}
    container = await world.run(sandbox, "sleep", "1000", resources=limits)
    group = world.cgroup_root / world.word / "pod-1"
    assert cgroup.read(group, "cpu.weight") == "50"
    assert cgroup.read(group / container.id, "cpu.max") == "50000 100000"
    assert cgroup.read(group / container.id, "cpu.weight") == "7"


@needs("memory")
async def test_an_exec_over_the_limit_ends_the_container_as_oom_killed(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    limits = {"unified": {"memory.max": str(16 << 20), "memory.swap.max": "0", "memory.oom.group": "1"}}
    container = await world.run(sandbox, "sleep", "1000", resources=limits)
    greedy = ExecConfig(process=process("sh", "-c", "cat /dev/zero | tail"))
    streams = await world.service.exec("pod-1", container.id, greedy)
    ended = await world.ended(container)
    await streams.close()
    assert ended.exit is not None
    assert (ended.exit.code, ended.exit.oom_killed) == (137, True)


@needs("memory")
@needs("cpu")
async def test_limits_change_while_the_container_runs(world: World) -> None:
    limits = {"unified": {"memory.max": str(64 << 20), "memory.swap.max": "0", "cpu.max": "100000 100000"}}
    sandbox = await world.service.run_sandbox(world.sandbox(resources={"memory.max": str(80 << 20)}))
    script = "while :; do sleep 0.01; done"
    container = await world.run(sandbox, "sh", "-c", script, resources=limits)
    await world.service.update_sandbox("pod-1", {"memory.max": str(120 << 20), "cpu.weight": "33"})
    files = {"memory.max": str(100 << 20), "cpu.max": "50000 100000", "cpu.weight": "12"}
    await world.service.update_container("pod-1", container.id, files)
    group = world.cgroup_root / world.word / "pod-1"
    assert cgroup.read(group, "cpu.weight") == "33"
    assert {name: cgroup.read(group / container.id, name) for name in files} == files
    assert world.status(container).resources == {**limits["unified"], **files}
    bad = {"memory.max": str(50 << 20), "cpu.max": "1 100000"}
    with pytest.raises(RuntimeServiceError, match=r"cannot set cpu\.max to '1 100000': invalid argument"):
        await world.service.update_container("pod-1", container.id, bad)
    assert {name: cgroup.read(group / container.id, name) for name in files} == files
    assert world.status(container).pid == container.pid
