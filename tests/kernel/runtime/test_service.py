"""The runtime's verbs on the real kernel: sandboxes and containers from birth to removal."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import time
from pathlib import Path

import pytest

from minipod.linux.cgroup2 import cgroup
from minipod.runtime.errors import (
    NotFoundError,
    RuntimeServiceError,
    SandboxError,
    StartError,
    WrongStateError,
)
from minipod.runtime.types import ContainerState, NamespaceMode, SandboxState, TmpfsMount
from tests.helpers.wait import wait_until
from tests.kernel.runtime.world import World


def now_us() -> int:
    return time.time_ns() // 1000


def netns(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


async def test_a_sandbox_has_a_namespace_of_its_own_and_a_record(world: World) -> None:
    before = now_us()
    status = await world.service.run_sandbox(world.sandbox(labels={"a": "b"}, attempt=3))
    assert status.state is SandboxState.READY
    assert before <= status.created_at <= now_us()
    assert (status.uid, status.attempt, dict(status.labels)) == ("pod-1", 3, {"a": "b"})
    assert netns(status.infra_pid) != netns("self")
    assert os.readlink(world.service.netns_path("pod-1")) == netns(status.infra_pid)
    assert netns(status.shim_pid) == netns("self")
    assert os.readlink(f"/proc/{status.shim_pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    assert world.service.status("pod-1") == status
    assert world.service.sandboxes() == [status]


async def test_each_process_of_a_pod_is_in_its_own_leaf_of_the_pods_cgroup(world: World) -> None:
    status = await world.service.run_sandbox(world.sandbox())
    container = await world.run(status, "sleep", "1000")
    group = world.cgroup_root / world.word / "pod-1"
    leaves = {leaf.name: cgroup.processes(leaf) for leaf in group.iterdir() if leaf.is_dir()}
    assert leaves == {
        "shim": [status.shim_pid, status.infra_pid],
        container.id: [container.pid],
    }
    assert cgroup.processes(group) == []


async def test_ps_tells_what_the_processes_are(world: World) -> None:
    status = await world.service.run_sandbox(world.sandbox())

    def cmdline(pid: int) -> str:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0")

    assert cmdline(status.shim_pid) == "minipod shim default/pod-1 pod-1"
    assert cmdline(world.spawner_pid) == "minipod spawner"
    assert Path(f"/proc/{status.shim_pid}/comm").read_text() == "minipod-shim\n"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="reads registers of a system call")
async def test_an_idle_shim_sleeps_without_a_timeout(world: World) -> None:
    status = await world.service.run_sandbox(world.sandbox())
    container = await world.run(status, "sleep", "1000")
    await world.service.signal_container("pod-1", container.id, signal.SIGCONT)

    def sleeps_for_ever() -> bool:
        call = Path(f"/proc/{status.shim_pid}/syscall").read_text().split()
        return call[0] == "232" and int(call[4], 16) & 0xFFFFFFFF == 0xFFFFFFFF  # epoll_wait(..., -1)

    await asyncio.to_thread(wait_until, sleeps_for_ever)


async def test_a_shim_is_small(world: World) -> None:
    """With a container running; other Pythons than 3.11 are smaller (immortal objects)."""
    status = await world.service.run_sandbox(world.sandbox())
    await world.run(status, "sleep", "1000")
    private = 0
    for pid in (status.shim_pid, status.infra_pid):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        private += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    assert private <= 3 * 1024


async def test_a_shim_holds_nothing_of_the_daemon(world: World) -> None:
    status = await world.service.run_sandbox(world.sandbox())
    fds = Path(f"/proc/{status.shim_pid}/fd")
    assert {os.readlink(fds / n) for n in ("0", "1", "2")} == {"/dev/null"}
    # A moment later: what was sent along with the answer is closed after it.
    await asyncio.to_thread(wait_until, lambda: len(list(fds.iterdir())) <= 12)
    assert os.getsid(status.shim_pid) == status.shim_pid
    assert os.readlink(f"/proc/{status.shim_pid}/cwd") == "/"
    socket = world.workdir / "run" / "pods" / "pod-1" / "shim.sock"
    assert socket.stat().st_mode & 0o777 == 0o600
    assert socket.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 42", 42),
        ("kill -TERM $$; exit 3", 3),  # init of a pid namespace: a signal of its own has no default action
        ("sh -c 'kill -KILL $$'; exit $?", 137),
    ],
)
async def test_exit_codes_are_reported(world: World, script: str, code: int) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    status = await world.run_to_end(sandbox, "sh", "-c", script)
    assert status.exit is not None
    assert (status.exit.code, status.exit.signal) == (code, 0)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1])
async def test_an_end_by_signal_is_128_plus_its_number(world: World, signum: signal.Signals) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox(pid=NamespaceMode.POD))
    container = await world.run(sandbox, "sleep", "1000", pid=NamespaceMode.POD)
    await world.service.signal_container("pod-1", container.id, signum)
    status = await world.ended(container)
    assert status.exit is not None
    assert (status.exit.code, status.exit.signal) == (128 + signum, signum)


async def test_times_are_microseconds_and_in_order(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    before = now_us()
    config = world.container(sandbox, "sleep", "0.05")
    created = await world.service.create_container("pod-1", config)
    assert created.state is ContainerState.CREATED
    assert created.started_at == 0
    running = await world.service.start_container("pod-1", config.id)
    assert running.state is ContainerState.RUNNING
    assert running.pid > 0
    status = await world.ended(running)
    after = now_us()
    assert status.exit is not None
    assert status.exit.started_at == running.started_at
    assert before <= created.created_at < running.started_at < status.exit.finished_at <= after
    assert status.exit.finished_at - status.exit.started_at >= 45_000
    assert {n % 1000 for n in (created.created_at, running.started_at, status.exit.finished_at)} != {0}
    assert status.pid == 0


async def test_a_start_failure_names_stage_errno_and_operand_and_is_on_record(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    config = world.container(sandbox, "/bin/nope", "x")
    await world.service.create_container("pod-1", config)
    with pytest.raises(StartError, match="/bin/nope") as caught:
        await world.service.start_container("pod-1", config.id)
    failure = caught.value.failure
    assert (failure.stage, failure.errno, failure.operand) == ("exec", errno.ENOENT, "/bin/nope")
    sandbox_now = world.service.status("pod-1")
    assert sandbox_now is not None
    status = sandbox_now.container(config.id)
    assert status is not None
    assert status.state is ContainerState.EXITED
    assert status.failure == failure
    assert status.exit is not None
    assert status.exit.code == 127
    assert 0 < status.exit.started_at <= status.exit.finished_at
    with pytest.raises(WrongStateError):
        await world.service.start_container("pod-1", config.id)
    # The sandbox is as good as before.
    after = await world.run_to_end(sandbox, "true", attempt=1)
    assert after.exit is not None
    assert after.exit.code == 0


async def test_a_log_that_cannot_be_written_fails_the_start_by_name(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    (world.workdir / "file").touch()
    config = world.container(sandbox, "true", log_path=world.workdir / "file" / "0.log")
    await world.service.create_container("pod-1", config)
    with pytest.raises(StartError, match=r"file/0\.log"):
        await world.service.start_container("pod-1", config.id)


async def test_a_sandbox_that_cannot_be_made_leaves_nothing(world: World) -> None:
    mount = TmpfsMount(target=world.workdir / "shm", options="size=nonsense")
    with pytest.raises(SandboxError, match="nonsense"):
        await world.service.run_sandbox(world.sandbox(mounts=(mount,)))
    assert world.service.status("pod-1") is None
    assert list((world.workdir / "run" / "pods").iterdir()) == []
    assert not (world.cgroup_root / world.word / "pod-1").exists()
    with pytest.raises(SandboxError, match="hostname"):
        await world.service.run_sandbox(world.sandbox(hostname="x" * 65))
    with pytest.raises(SandboxError, match=r"hugetlb\.nonsense"):
        await world.service.run_sandbox(world.sandbox(resources={"hugetlb.nonsense": "1"}))
    assert list((world.workdir / "run" / "pods").iterdir()) == []
    await world.service.run_sandbox(world.sandbox())


@pytest.mark.parametrize("uid", ["", "..", "a/b", ".hidden", "x" * 200])
async def test_a_uid_cannot_lead_out_of_the_run_directory(world: World, uid: str) -> None:
    with pytest.raises(RuntimeServiceError, match="sandbox uid"):
        await world.service.run_sandbox(world.sandbox(uid, cgroup=f"{world.word}/x"))


async def test_a_sandbox_replaces_an_older_one_of_the_same_uid(world: World) -> None:
    first = await world.service.run_sandbox(world.sandbox())
    await world.run(first, "sleep", "1000")
    second = await world.service.run_sandbox(world.sandbox(attempt=1))
    assert second.attempt == 1
    assert second.containers == ()
    assert second.infra_pid != first.infra_pid
    with pytest.raises(ProcessLookupError):
        os.kill(first.infra_pid, 0)


async def test_tmpfs_mounts_of_a_sandbox_are_seen_by_containers_and_not_by_the_host(world: World) -> None:
    target = world.workdir / "data" / "shm"
    sandbox = await world.service.run_sandbox(
        world.sandbox(mounts=(TmpfsMount(target=target, options="mode=1777,size=1m"),))
    )
    mount = {"destination": "/dev/shm", "type": "bind", "source": str(target), "options": ["rbind"]}
    config = world.container(sandbox, "sh", "-c", "echo there > /dev/shm/x; stat -f -c %T /dev/shm")
    config.oci["mounts"].append(mount)
    await world.service.create_container("pod-1", config)
    await world.ended(await world.service.start_container("pod-1", config.id))
    assert b"tmpfs" in config.log_path.read_bytes()
    assert list(target.iterdir()) == []


async def test_when_the_infra_process_dies_the_sandbox_is_not_ready_and_the_rest_is_killed(
    world: World,
) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    containers = [await world.run(sandbox, "sleep", "1000", name=name) for name in ("a", "b")]
    os.kill(sandbox.infra_pid, signal.SIGKILL)
    for container in containers:
        status = await world.ended(container)
        assert status.exit is not None
        assert (status.exit.code, status.exit.signal) == (137, 9)
    now = world.service.status("pod-1")
    assert now is not None
    assert now.state is SandboxState.NOT_READY
    with pytest.raises(WrongStateError):
        world.service.netns_path("pod-1")
    with pytest.raises(WrongStateError):
        await world.service.create_container("pod-1", world.container(sandbox, "true", name="c"))


async def test_stopping_a_sandbox_keeps_its_records(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    container = await world.run(sandbox, "sleep", "1000")
    await world.service.stop_sandbox("pod-1")
    now = world.service.status("pod-1")
    assert now is not None
    assert now.state is SandboxState.NOT_READY
    exit_ = world.status(container).exit
    assert exit_ is not None
    assert exit_.code == 137
    await world.service.stop_sandbox("pod-1")
    await world.service.stop_sandbox("unknown")


async def test_removal_is_idempotent_and_takes_the_writable_layers_along(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    config = world.container(sandbox, "sh", "-c", "mkdir -p /a/b; echo x > /a/b/c; sleep 1000")
    await world.service.create_container("pod-1", config)
    await world.service.start_container("pod-1", config.id)
    await asyncio.to_thread(wait_until, lambda: (config.rootfs.upper / "a" / "b" / "c").exists())
    await world.service.remove_sandbox("pod-1")
    assert world.service.status("pod-1") is None
    assert not (world.workdir / "data" / "pods" / "pod-1" / "containers").exists()
    assert not (world.workdir / "run" / "pods" / "pod-1").exists()
    assert not (world.cgroup_root / world.word / "pod-1").exists()
    await asyncio.to_thread(wait_until, lambda: not Path(f"/proc/{sandbox.shim_pid}").exists())
    await world.service.remove_sandbox("pod-1")
    with pytest.raises(NotFoundError):
        await world.service.create_container("pod-1", config)


async def test_removing_a_container_kills_it_and_frees_its_id_and_layer(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    config = world.container(sandbox, "sleep", "1000")
    await world.service.create_container("pod-1", config)
    with pytest.raises(RuntimeServiceError, match="taken"):
        await world.service.create_container("pod-1", config)
    container = await world.service.start_container("pod-1", config.id)
    await world.service.remove_container("pod-1", config.id)
    now = world.service.status("pod-1")
    assert now is not None
    assert now.containers == ()
    assert not config.rootfs.upper.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(container.pid, 0)
    await world.service.remove_container("pod-1", config.id)
    await world.service.create_container("pod-1", config)
    await world.service.start_container("pod-1", config.id)


async def test_a_new_attempt_starts_with_an_empty_layer_even_if_one_was_left(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    config = world.container(sandbox, "sh", "-c", "ls /left && exit 1; exit 0")
    config.rootfs.upper.mkdir(parents=True)
    (config.rootfs.upper / "left").touch()
    await world.service.create_container("pod-1", config)
    status = await world.ended(await world.service.start_container("pod-1", config.id))
    assert status.exit is not None
    assert status.exit.code == 0


async def test_killing_a_container_ends_all_its_processes_and_no_others(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox(pid=NamespaceMode.POD))
    one = await world.run(sandbox, "sh", "-c", "sleep 1000 & sleep 1000", name="a", pid=NamespaceMode.POD)
    other = await world.run(sandbox, "sleep", "1000", name="b", pid=NamespaceMode.POD)
    await world.service.kill_container("pod-1", one.id)
    status = await world.ended(one)
    assert status.exit is not None
    assert status.exit.code == 137
    assert world.status(other).state is ContainerState.RUNNING
    await world.service.kill_container("pod-1", one.id)
    await world.service.signal_container("pod-1", one.id, signal.SIGTERM)


async def test_what_a_container_leaves_running_ends_with_it(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox(pid=NamespaceMode.POD))
    one = await world.run_to_end(sandbox, "sh", "-c", "sleep 1000 & exit 0", pid=NamespaceMode.POD)
    assert one.exit is not None
    assert one.exit.code == 0
    leaf = world.cgroup_root / world.word / "pod-1" / one.id
    await asyncio.to_thread(wait_until, lambda: not leaf.exists() or not cgroup.events(leaf)["populated"])


async def test_fifty_sandboxes_at_once(world: World) -> None:
    async def one(number: int) -> None:
        sandbox = await world.service.run_sandbox(world.sandbox(f"many-{number}"))
        await world.run(sandbox, "sleep", "1000")

    await asyncio.gather(*(one(number) for number in range(50)))
    assert len({s.infra_pid for s in world.service.sandboxes()}) == 50
    assert all(s.state is SandboxState.READY for s in world.service.sandboxes())
    await asyncio.gather(*(world.service.remove_sandbox(f"many-{number}") for number in range(50)))
    assert world.service.sandboxes() == []


async def test_a_cancelled_birth_leaves_nothing(world: World) -> None:
    for turns in range(6):
        task = asyncio.create_task(world.service.run_sandbox(world.sandbox()))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            await world.service.remove_sandbox("pod-1")
        assert world.service.status("pod-1") is None
        assert not (world.cgroup_root / world.word / "pod-1").exists()
        assert list((world.workdir / "run" / "pods").iterdir()) == []


async def test_nothing_leaks_from_round_to_round(world: World) -> None:
    async def round_() -> None:
        sandbox = await world.service.run_sandbox(world.sandbox())
        await world.run_to_end(sandbox, "true")
        await world.service.remove_sandbox("pod-1")

    await round_()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        await round_()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_long_lived_shim_keeps_no_descriptors_of_ended_containers(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    fds = Path(f"/proc/{sandbox.shim_pid}/fd")

    async def round_(attempt: int) -> None:
        container = await world.run_to_end(sandbox, "true", attempt=attempt)
        await world.service.remove_container("pod-1", container.id)

    await round_(0)
    before = len(list(fds.iterdir()))
    for attempt in range(1, 10):
        await round_(attempt)
    assert len(list(fds.iterdir())) == before


async def test_layers_without_a_container_are_swept(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    kept = world.container(sandbox, "sleep", "1000")
    await world.service.create_container("pod-1", kept)
    await world.service.start_container("pod-1", kept.id)
    stale = world.workdir / "data" / "pods" / "gone" / "containers" / "main" / "0" / "upper" / "file"
    old = world.workdir / "data" / "pods" / "pod-1" / "containers" / "main" / "7" / "upper" / "file"
    for path in (stale, old):
        path.parent.mkdir(parents=True)
        path.touch()
    await world.service.retain(["pod-1"])
    assert not stale.parents[3].exists()
    assert not old.parents[1].exists()
    assert kept.rootfs.upper.exists()
    assert world.service.status("pod-1") is not None
    await world.service.retain([])
    assert world.service.sandboxes() == []
    assert not kept.rootfs.upper.exists()


async def test_a_created_container_waits_ready_and_has_run_nothing(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    config = world.container(sandbox, "sh", "-c", "echo ran; exec sleep 1000")
    created = await world.service.create_container("pod-1", config)
    assert (created.state, created.pid, created.started_at) == (ContainerState.CREATED, 0, 0)
    (pid,) = cgroup.processes(world.cgroup_root / world.word / "pod-1" / config.id)
    await asyncio.to_thread(wait_until, lambda: Path(f"/proc/{pid}/root/bin/sh").exists())
    assert b"minipod shim" in Path(f"/proc/{pid}/cmdline").read_bytes()  # not yet the command
    await world.service.signal_container(
        "pod-1", config.id, signal.SIGKILL
    )  # nothing runs that could get it
    started = await world.service.start_container("pod-1", config.id)
    assert started.pid == pid
    assert started.started_at > created.created_at
    await asyncio.to_thread(wait_until, lambda: b"ran" in config.log_path.read_bytes())


async def test_a_container_killed_before_its_start_cannot_start(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    config = world.container(sandbox, "true")
    await world.service.create_container("pod-1", config)
    leaf = world.cgroup_root / world.word / "pod-1" / config.id
    await world.service.kill_container("pod-1", config.id)
    await asyncio.to_thread(wait_until, lambda: not leaf.exists())
    with pytest.raises(StartError, match="killed before it was started"):
        await world.service.start_container("pod-1", config.id)
    now = world.service.status("pod-1")
    assert now is not None
    assert now.containers[0].state is ContainerState.EXITED


async def test_a_created_container_can_be_removed(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    for attempt in range(2):
        config = world.container(sandbox, "true", attempt=attempt)
        await world.service.create_container("pod-1", config)
        await world.service.remove_container("pod-1", config.id)
        assert not config.rootfs.upper.exists()
    await world.service.create_container("pod-1", world.container(sandbox, "true"))
    await world.service.stop_sandbox("pod-1")
    await world.service.remove_sandbox("pod-1")
