"""Commands in running containers: their streams, terminals, ends, and what happens when the near end goes away."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from minipod.linux.cgroup2 import cgroup
from minipod.runtime.errors import NotFoundError, RuntimeServiceError, StartError, WrongStateError
from minipod.runtime.streams import ProcessStreams
from minipod.runtime.types import ContainerStatus, ExecConfig, ProcessExit
from tests.helpers.wait import wait_until
from tests.kernel.runtime.world import CAPABILITIES, World, process, processes_below


async def sleeper(world: World) -> ContainerStatus:
    sandbox = await world.service.run_sandbox(world.sandbox())
    return await world.run(sandbox, "sleep", "1000")


async def start(world: World, container: ContainerStatus, *args: str, **options: bool) -> ProcessStreams:
    config = ExecConfig(process=process(*args, tty=options.get("tty", False)), **options)
    return await world.service.exec("pod-1", container.id, config)


async def read_all(streams: ProcessStreams) -> dict[str, bytes]:
    found = {"stdout": b"", "stderr": b""}
    async with asyncio.timeout(10):
        while piece := await streams.read():
            found[piece[0]] += piece[1]
    return found


async def read_until(streams: ProcessStreams, mark: bytes) -> bytes:
    found = b""
    async with asyncio.timeout(10):
        while mark not in found:
            piece = await streams.read()
            assert piece is not None, found
            found += piece[1]
    return found


def leaf(world: World, container: ContainerStatus) -> Path:
    return world.cgroup_root / world.word / "pod-1" / container.id


def exec_groups(world: World, container: ContainerStatus) -> list[Path]:
    return list(leaf(world, container).glob("minipod-exec-*"))


def processes(world: World, container: ContainerStatus) -> list[int]:
    return processes_below(leaf(world, container))


async def until_alone(world: World, container: ContainerStatus) -> None:
    """Only the container's own process is left."""
    await asyncio.to_thread(wait_until, lambda: processes(world, container) == [container.pid])


async def test_output_streams_are_apart_and_the_exit_code_is_reported(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert await read_all(streams) == {"stdout": b"out\n", "stderr": b"err\n"}
    assert await streams.wait() == ProcessExit(7)
    assert await streams.read() is None
    await streams.close()
    await streams.close()


async def test_an_end_by_signal_is_reported(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "sh", "-c", "kill -TERM $$")
    assert await streams.wait() == ProcessExit(143, 15)
    await streams.close()


async def test_it_runs_in_the_containers_world(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "sh", "-c", "hostname; ls /proc | grep -c '^[0-9]'; cat")
    assert (await read_all(streams))["stdout"].split()[0] == b"pod-1"
    await streams.close()


async def test_stdin_arrives_and_its_end_too(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "cat", stdin=True)
    data = os.urandom(300_000)
    reader = asyncio.create_task(read_all(streams))
    await streams.write_stdin(data)
    await streams.close_stdin()
    assert (await reader)["stdout"] == data
    assert await streams.wait() == ProcessExit(0)
    await streams.close()


async def test_without_stdin_there_is_an_end_at_once(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "cat")
    assert await read_all(streams) == {"stdout": b"", "stderr": b""}
    assert await streams.wait() == ProcessExit(0)
    await streams.close()


async def test_what_nobody_reads_is_no_error(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "true", stdin=True)
    await streams.wait()
    await streams.write_stdin(b"x" * 200_000)
    await streams.close_stdin()
    await streams.close()


async def test_streams_not_asked_for_are_not_there(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "sh", "-c", "echo out; echo err >&2", stdout=False)
    assert await read_all(streams) == {"stdout": b"", "stderr": b"err\n"}
    await streams.close()


async def test_a_reader_that_waits_keeps_a_writer_waiting_and_loses_nothing(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "head", "-c", "3000000", "/dev/zero")
    assert len((await read_all(streams))["stdout"]) == 3_000_000
    await streams.close()


async def test_a_terminal_is_the_containers_own_and_can_be_resized(world: World) -> None:
    container = await sleeper(world)
    script = "tty; stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.01; done"
    streams = await start(world, container, "sh", "-c", script, stdin=True, tty=True)
    await streams.resize(100, 40)
    text = await read_until(streams, b"ready")
    assert text.startswith(b"/dev/pts/0\r\n")
    await streams.resize(123, 45)
    assert b"45 123\r\n" in await read_until(streams, b"45 123\r\n")
    assert await streams.wait() == ProcessExit(5)
    assert await read_all(streams) == {"stdout": b"", "stderr": b""}
    await streams.close()


async def test_a_terminal_takes_input_and_control_characters(world: World) -> None:
    container = await sleeper(world)
    streams = await start(
        world, container, "sh", "-c", "read x; echo got $x; sleep 1000", stdin=True, tty=True
    )
    await streams.write_stdin(b"hello\r")
    await read_until(streams, b"got hello\r\n")
    await streams.write_stdin(b"\x03")
    assert await streams.wait() == ProcessExit(130, 2)
    await streams.close()


async def test_closing_a_terminal_hangs_up(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "sh", "-c", "echo ready; sleep 1000", stdin=True, tty=True)
    await read_until(streams, b"ready")
    await streams.close()
    await until_alone(world, container)


ESCAPES = (
    "trap '' HUP TERM PIPE; sleep 1000 & setsid sleep 1000 & setsid sh -c 'sleep 1000 & exec sleep 1000' &"
)
"""Together with the shell and what it does next: five processes, in three sessions."""


async def test_closing_without_a_terminal_kills_all_of_it(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "sh", "-c", f"{ESCAPES} echo ready; exec sleep 1000")
    await read_until(streams, b"ready")
    await asyncio.to_thread(wait_until, lambda: len(processes(world, container)) == 6)
    (group,) = exec_groups(world, container)
    assert len(cgroup.processes(group)) == 5
    await streams.close()
    await until_alone(world, container)


async def test_execs_do_not_end_each_other(world: World) -> None:
    container = await sleeper(world)
    first = await start(world, container, "sleep", "1000")
    second = await start(world, container, "cat", stdin=True)
    await first.close()
    await asyncio.to_thread(wait_until, lambda: len(processes(world, container)) == 2)
    await second.close_stdin()
    assert await second.wait() == ProcessExit(0)
    await second.close()


async def test_the_cgroup_of_an_exec_goes_with_its_last_process(world: World) -> None:
    container = await sleeper(world)
    for _ in range(3):
        await (await start(world, container, "true")).wait()
    assert exec_groups(world, container) == []
    killed = await start(world, container, "sleep", "1000")
    await killed.close()
    left = await start(world, container, "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")
    await left.wait()
    await until_gone(world, container, count=2)
    (group,) = exec_groups(world, container)
    cgroup.kill(group)
    await until_alone(world, container)
    await (await start(world, container, "true")).wait()
    assert exec_groups(world, container) == []


async def until_gone(world: World, container: ContainerStatus, *, count: int) -> None:
    """Groups are swept whenever an exec ends."""
    async with asyncio.timeout(10):
        while len(processes(world, container)) > count or len(exec_groups(world, container)) >= count:
            await (await start(world, container, "true")).wait()


async def test_a_container_that_ends_takes_what_its_execs_left_along(world: World) -> None:
    container = await sleeper(world)
    await (await start(world, container, "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")).wait()
    assert len(processes(world, container)) == 2
    (group,) = exec_groups(world, container)
    await world.service.kill_container("pod-1", container.id)
    await world.ended(container)
    await world.service.remove_container("pod-1", container.id)
    assert not group.exists()
    assert not leaf(world, container).exists()


async def test_closing_wakes_who_reads_and_who_writes(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "sleep", "1000", stdin=True)
    reader = asyncio.create_task(streams.read())
    writer = asyncio.create_task(streams.write_stdin(b"x" * 1_000_000))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await streams.close()
    async with asyncio.timeout(5):
        assert await reader is None
        await writer


async def test_what_an_exec_left_in_the_background_goes_on(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "sh", "-c", "sleep 1000 >/dev/null 2>&1 & exit 0")
    assert await streams.wait() == ProcessExit(0)
    await streams.close()
    assert len(processes(world, container)) == 2
    (left,) = exec_groups(world, container)
    assert len(cgroup.processes(left)) == 1


PRIVILEGED = {
    "destination": "/sys/fs/cgroup",
    "type": "cgroup",
    "source": "cgroup",
    "options": ["nosuid", "noexec", "nodev", "relatime"],
}


async def privileged_sleeper(world: World, script: str) -> ContainerStatus:
    """A container that may write its cgroup, and has done so with `script` (in its own group) before this returns."""
    sandbox = await world.service.run_sandbox(world.sandbox())
    rights = (*CAPABILITIES, "CAP_SYS_ADMIN")
    all_rights = dict.fromkeys(("bounding", "effective", "permitted"), rights)
    config = world.container(
        sandbox,
        "sh",
        "-c",
        f"cd /sys/fs/cgroup; {script}; echo ready; exec sleep 1000",
        process={"capabilities": all_rights},
    )
    document = {**config.oci, "mounts": [*config.oci["mounts"], PRIVILEGED]}
    config = replace(config, oci=document)
    await world.service.create_container("pod-1", config)
    status = await world.service.start_container("pod-1", config.id)
    await asyncio.to_thread(wait_until, lambda: b"ready" in config.log_path.read_bytes())
    return status


async def test_an_exec_finds_a_cgroup_beside_those_a_privileged_container_made(world: World) -> None:
    container = await privileged_sleeper(world, "mkdir minipod-exec-1 minipod-exec-2 -p deep/er")
    streams = await start(world, container, "sh", "-c", "cat /proc/self/cgroup | grep ^0; exec sleep 1000")
    assert await read_until(streams, b"\n") == b"0::/minipod-exec-3\n"
    await streams.close()
    await until_alone(world, container)
    await world.service.remove_container("pod-1", container.id)
    assert not leaf(world, container).exists()


async def test_an_exec_starts_in_a_container_that_hands_out_its_controllers(world: World) -> None:
    available = cgroup.controllers(world.cgroup_root)
    if not available:
        pytest.skip("this host's cgroup2 has no controller")
    name = min(available)
    cgroup.create(world.cgroup_root, f"{world.word}/pod-1/x", enable=(name,))
    container = await privileged_sleeper(
        world, f"mkdir init; echo 0 > init/cgroup.procs; echo +{name} > cgroup.subtree_control"
    )
    with pytest.raises(OSError, match="busy"):
        cgroup.add_process(leaf(world, container), os.getpid())
    streams = await start(world, container, "echo", "up")
    assert (await read_all(streams))["stdout"] == b"up\n"
    await streams.close()


async def test_the_end_of_the_container_ends_its_execs(world: World) -> None:
    container = await sleeper(world)
    streams = await start(world, container, "sleep", "1000")
    await world.service.kill_container("pod-1", container.id)
    async with asyncio.timeout(10):
        assert (await streams.wait()).code == 137
        assert await streams.read() is None
    await streams.close()


async def test_a_command_that_cannot_start_is_named(world: World) -> None:
    container = await sleeper(world)
    for tty in (False, True):
        with pytest.raises(StartError, match="/bin/nope") as caught:
            await start(world, container, "/bin/nope", stdin=True, tty=tty)
        assert caught.value.failure.errno == errno.ENOENT
    fds = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StartError):
        await start(world, container, "/bin/nope", stdin=True)
    assert len(os.listdir("/proc/self/fd")) == fds


async def test_only_a_running_container_can_exec(world: World) -> None:
    container = await sleeper(world)
    with pytest.raises(NotFoundError):
        await world.service.exec("pod-1", "nope", ExecConfig(process=process("true")))
    await world.service.kill_container("pod-1", container.id)
    await world.ended(container)
    with pytest.raises(WrongStateError):
        await start(world, container, "true")


async def test_a_cancelled_exec_leaves_nothing(world: World) -> None:
    container = await sleeper(world)
    await (await start(world, container, "true")).close()
    before = len(os.listdir("/proc/self/fd"))
    for turns in range(8):
        task = asyncio.create_task(start(world, container, "sleep", "1000", stdin=True))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        task.cancel()
        result = (await asyncio.gather(task, return_exceptions=True))[0]
        if not isinstance(result, BaseException):
            await result.close()
    await until_alone(world, container)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_the_shim_keeps_nothing_of_many_execs(world: World) -> None:
    container = await sleeper(world)
    sandbox = world.service.status("pod-1")
    assert sandbox is not None
    before = len(os.listdir(f"/proc/{sandbox.shim_pid}/fd"))
    for _ in range(30):
        streams = await start(world, container, "true", stdin=True)
        await streams.wait()
        await streams.close()
    await asyncio.to_thread(wait_until, lambda: len(os.listdir(f"/proc/{sandbox.shim_pid}/fd")) == before)


async def test_killing_the_shim_ends_the_wait(world: World) -> None:
    container = await sleeper(world)
    sandbox = world.service.status("pod-1")
    assert sandbox is not None
    streams = await start(world, container, "sleep", "1000")
    os.kill(sandbox.shim_pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        exit_ = await streams.wait()
    assert exit_.code == 137
    assert "shim" in exit_.message
    await streams.close()


async def test_a_killed_shim_leaves_neither_processes_nor_cgroups_of_execs(world: World) -> None:
    container = await sleeper(world)
    sandbox = world.service.status("pod-1")
    assert sandbox is not None
    streams = await start(world, container, "sh", "-c", f"{ESCAPES} exec sleep 1000")
    await asyncio.to_thread(wait_until, lambda: len(processes(world, container)) == 6)
    os.kill(sandbox.shim_pid, signal.SIGKILL)
    await world.ended(container)
    assert processes(world, container) == []
    await streams.close()
    await world.service.remove_sandbox("pod-1")
    assert not leaf(world, container).parent.exists()


async def test_a_shim_without_descriptors_refuses_and_recovers(world: World) -> None:
    container = await sleeper(world)
    sandbox = world.service.status("pod-1")
    assert sandbox is not None
    pid = sandbox.shim_pid
    await (await start(world, container, "true")).close()
    used = len(os.listdir(f"/proc/{pid}/fd"))
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    for room in range(8):
        highest = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + room, before[1]))
        for attempt in (
            start(world, container, "true", stdin=True),
            world.service.attach("pod-1", container.id, False),
        ):
            try:
                streams = await attempt
            except RuntimeServiceError:
                continue
            await streams.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    streams = await start(world, container, "echo", "again")
    assert (await read_all(streams))["stdout"] == b"again\n"
    await streams.close()
    await asyncio.to_thread(wait_until, lambda: len(os.listdir(f"/proc/{pid}/fd")) <= used)
    log = world.workdir / "run" / "pods" / "pod-1" / "shim.log"
    assert not log.exists() or "Traceback" not in log.read_text()
