"""kill -9 of daemon, spawner, shim and infra process at any moment: what a later daemon finds and reports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minipod.linux.cgroup2 import cgroup
from minipod.runtime import wire
from minipod.runtime.errors import ShimGoneError, WrongStateError
from minipod.runtime.service import RuntimeService
from minipod.runtime.types import ContainerState, SandboxState, SandboxStatus
from tests.helpers.wait import wait_until
from tests.kernel.runtime.world import World, processes_below

PROJECT = Path(__file__).parents[3]


class Daemon:
    """The other process, with its sandbox pod-1."""

    def __init__(self, world: World, *containers: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kernel.runtime.daemon_side"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        order = {
            "workdir": str(world.workdir),
            "word": world.word,
            "image": str(world.image),
            "containers": containers,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.spawner: int = answer["spawner"]
        self.sandbox = wire.decode(SandboxStatus, answer["sandbox"])

    def kill(self) -> None:
        """kill -9, and wait until the spawner has followed."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        wait_until(lambda: not alive(self.spawner), message="the spawner to end")


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextlib.contextmanager
def daemon(world: World, *containers: list[str]) -> Iterator[Daemon]:
    found = Daemon(world, *containers)
    try:
        yield found
    finally:
        if found.process.returncode is None:
            found.kill()


@contextlib.asynccontextmanager
async def adopted(world: World) -> Any:
    """A new service on what is there; it takes the place of the world's own."""
    await world.service.stop()
    world.service = world.new_service()
    await world.service.start()
    yield world.service


def sandbox_of(service: RuntimeService) -> SandboxStatus:
    status = service.status("pod-1")
    assert status is not None
    return status


async def test_a_killed_daemons_pods_are_adopted_as_they_are(world: World) -> None:
    with daemon(world, ["sleep", "1000"], ["sleep", "1000"]) as other:
        before = other.sandbox
        other.kill()
    assert all(alive(p) for p in (before.shim_pid, before.infra_pid, *(c.pid for c in before.containers)))
    async with adopted(world) as service:
        assert sandbox_of(service) == before
        # And everything can be done with it that could be done before.
        await service.kill_container("pod-1", before.containers[0].id)
        await world.ended(before.containers[0])
        await world.run_to_end(before, "true", name="new")
        await service.remove_sandbox("pod-1")
    assert not (world.workdir / "data" / "pods" / "pod-1" / "containers").exists()


async def test_exits_while_nobody_watched_are_reported_with_their_code_and_time(world: World) -> None:
    script = "while [ ! -e /go ]; do sleep 0.01; done; echo bye; exit"
    with daemon(world, ["sh", "-c", f"{script} 7"], ["sh", "-c", f"{script} 0"], ["sleep", "1000"]) as other:
        before = other.sandbox
        other.kill()
    killed_at = time.time_ns() // 1000
    for container in before.containers[:2]:
        Path(f"/proc/{container.pid}/root/go").touch()
    records = world.workdir / "run" / "pods" / "pod-1"
    for container in before.containers[:2]:
        file = records / f"container-{container.id}.json"
        await asyncio.to_thread(wait_until, lambda file=file: b'"exited"' in file.read_bytes())
    async with adopted(world) as service:
        now = sandbox_of(service)
        assert now.state is SandboxState.READY
        for container, code in zip(before.containers[:2], (7, 0), strict=True):
            found = now.container(container.id)
            assert found is not None
            assert found.state is ContainerState.EXITED
            assert found.exit is not None
            assert found.exit.code == code
            assert found.exit.started_at == container.started_at
            assert killed_at < found.exit.finished_at < time.time_ns() // 1000
            assert b"bye" in found.log_path.read_bytes()
        assert now.containers[2] == before.containers[2]


async def test_execs_of_a_killed_daemon_end_with_it(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    container = await world.run(sandbox, "sleep", "1000")
    leaf = world.cgroup_root / world.word / "pod-1" / container.id
    script = f"""
import asyncio, sys
from pathlib import Path
from minipod.runtime.service import RuntimeService
from minipod.runtime.types import ExecConfig
from tests.kernel.runtime.world import process
async def main():
    service = RuntimeService(
        run_dir=Path({str(world.workdir / "run")!r}),
        data_dir=Path({str(world.workdir / "data")!r}),
        cgroup_root=Path({str(world.cgroup_root)!r}),
    )
    await service.start()
    for tty in (False, True):
        command = ["sleep", "1000"] if tty else ["sh", "-c", "setsid sleep 1000 & exec sleep 1000"]
        config = ExecConfig(process=process(*command, tty=tty), stdin=True, tty=tty)
        await service.exec("pod-1", {container.id!r}, config)
    print("ready", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=PROJECT, stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"ready\n"
    await asyncio.to_thread(wait_until, lambda: len(processes_below(leaf)) == 4)
    other.kill()
    await other.wait()
    await asyncio.to_thread(wait_until, lambda: processes_below(leaf) == [container.pid])
    assert world.status(container).state is ContainerState.RUNNING


async def test_a_killed_spawner_is_replaced_and_shims_live_on(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    container = await world.run(sandbox, "sleep", "1000")
    first = world.spawner_pid
    os.kill(first, signal.SIGKILL)
    other = await world.service.run_sandbox(world.sandbox("pod-2"))
    assert other.state is SandboxState.READY
    await asyncio.to_thread(wait_until, lambda: not alive(first))
    assert world.spawner_pid != first
    assert world.status(container).state is ContainerState.RUNNING
    await world.run_to_end(sandbox, "true", name="new")


async def test_a_spawner_killed_in_the_middle_of_fifty_births_costs_nothing(world: World) -> None:
    births = [asyncio.create_task(world.service.run_sandbox(world.sandbox(f"many-{n}"))) for n in range(30)]
    await births[3]
    os.kill(world.spawner_pid, signal.SIGKILL)
    results = await asyncio.gather(*births)
    assert all(r.state is SandboxState.READY for r in results)


async def test_a_spawner_killed_in_its_rehearsal_leaves_nobody(world: World) -> None:
    group = cgroup.create(world.cgroup_root, f"{world.word}/rehearsal")
    code = f"""
import sys
open({str(group / "cgroup.procs")!r}, "w").write("0")
sys.path.insert(0, {str(PROJECT)!r})
from pathlib import Path
from minipod.runtime.rehearsal import rehearse
print("ready", flush=True)
while True:
    rehearse(Path({str(world.workdir / "scratch")!r}))
"""
    for _ in range(5):
        spawner = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", code, stdout=asyncio.subprocess.PIPE
        )
        assert spawner.stdout is not None
        await spawner.stdout.readline()
        # In the middle of a play: with an infra process, a container and whoever watches over them.
        await asyncio.to_thread(wait_until, lambda: len(cgroup.processes(group)) >= 4)
        spawner.kill()
        await spawner.wait()
        await asyncio.to_thread(wait_until, lambda: cgroup.processes(group) == [])


async def test_a_killed_shim_is_noticed_and_its_pod_ended(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    running = await world.run(sandbox, "sleep", "1000", name="running")
    done = await world.run_to_end(sandbox, "sh", "-c", "exit 5", name="done")
    created = world.container(sandbox, "true", name="created")
    await world.service.create_container("pod-1", created)
    os.kill(sandbox.shim_pid, signal.SIGKILL)
    killed_at = time.time_ns() // 1000
    await world.until(lambda: sandbox_of(world.service).state is SandboxState.NOT_READY)
    status = world.status(running)
    assert status.state is ContainerState.EXITED
    assert status.exit is not None
    assert (status.exit.code, status.exit.signal) == (137, 0)
    assert status.exit.started_at == running.started_at
    assert status.exit.finished_at >= killed_at
    assert world.status(done) == done
    assert not alive(running.pid)
    assert not alive(sandbox.infra_pid)
    with pytest.raises(WrongStateError):
        await world.service.start_container("pod-1", created.id)
    await world.service.stop_sandbox("pod-1")
    await world.service.kill_container("pod-1", running.id)
    await world.service.remove_container("pod-1", done.id)
    # A later daemon is told the same.
    told = sandbox_of(world.service)
    async with adopted(world) as service:
        assert sandbox_of(service) == told
        again = await service.run_sandbox(world.sandbox(attempt=1))
        await world.run_to_end(again, "true")


async def test_a_request_on_its_way_when_the_shim_dies_is_told(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    config = world.container(sandbox, "sleep", "1000")
    os.kill(sandbox.shim_pid, signal.SIGSTOP)
    request = asyncio.create_task(world.service.create_container("pod-1", config))
    await asyncio.sleep(0)
    os.kill(sandbox.shim_pid, signal.SIGKILL)
    with pytest.raises(ShimGoneError):
        await request


async def test_shim_and_daemon_killed_together(world: World) -> None:
    with daemon(world, ["sleep", "1000"], ["sh", "-c", "exit 3"]) as other:
        before = other.sandbox
        record = world.workdir / "run" / "pods" / "pod-1" / f"container-{before.containers[1].id}.json"
        await asyncio.to_thread(wait_until, lambda: b'"exited"' in record.read_bytes())
        other.process.send_signal(signal.SIGSTOP)
        os.kill(before.shim_pid, signal.SIGKILL)
        other.kill()
    assert alive(before.infra_pid)
    async with adopted(world) as service:
        now = sandbox_of(service)
        assert now.state is SandboxState.NOT_READY
        codes = [c.exit.code for c in now.containers if c.exit]
        assert codes == [137, 3]
    assert not alive(before.infra_pid)
    assert not alive(before.containers[0].pid)


async def test_shim_infra_and_daemon_killed_together(world: World) -> None:
    with daemon(world, ["sleep", "1000"]) as other:
        before = other.sandbox
        other.kill()
    for pid in (before.infra_pid, before.shim_pid):
        os.kill(pid, signal.SIGKILL)
    async with adopted(world) as service:
        assert sandbox_of(service).state is SandboxState.NOT_READY
    assert not alive(before.containers[0].pid)


async def test_a_shim_that_hangs_counts_as_dead(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from minipod.runtime import handle

    sandbox = await world.service.run_sandbox(world.sandbox())
    await world.run(sandbox, "sleep", "1000")
    os.kill(sandbox.shim_pid, signal.SIGSTOP)
    monkeypatch.setattr(handle, "HELLO_TIMEOUT", 0.2)
    async with adopted(world) as service:
        assert sandbox_of(service).state is SandboxState.NOT_READY
    await asyncio.to_thread(wait_until, lambda: not alive(sandbox.shim_pid))


async def test_after_a_reboot_only_layers_are_left_and_they_can_be_swept(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    config = world.container(sandbox, "sleep", "1000")
    await world.service.create_container("pod-1", config)
    await world.service.start_container("pod-1", config.id)
    copy = world.workdir / "copy"
    shutil.copytree(world.workdir / "data", copy)
    await world.service.remove_sandbox("pod-1")
    shutil.rmtree(world.workdir / "data")
    copy.rename(world.workdir / "data")
    async with adopted(world) as service:
        assert service.sandboxes() == []
        assert config.rootfs.upper.exists()
        await service.retain(["pod-1"])
        assert not config.rootfs.upper.exists()


@pytest.mark.parametrize("content", [None, "", "{", '{"config": {}}'])
async def test_a_directory_without_a_record_is_removed(world: World, content: str | None) -> None:
    directory = world.workdir / "run" / "pods" / "half"
    directory.mkdir(parents=True)
    if content is not None:
        (directory / "sandbox.json").write_text(content)
    async with adopted(world) as service:
        assert service.sandboxes() == []
    assert not directory.exists()


async def test_a_sandbox_half_made_is_removed(world: World) -> None:
    """The daemon died after the record; the spawner may have made the cgroup, and a shim may have begun."""
    sandbox = await world.service.run_sandbox(world.sandbox())
    record = world.workdir / "run" / "pods" / "pod-1" / "sandbox.json"
    await world.service.stop()
    os.kill(sandbox.shim_pid, signal.SIGKILL)
    data = json.loads(record.read_bytes())
    record.write_text(json.dumps(data | {"state": "notReady", "shim": None, "infra": None}))
    world.service = world.new_service()
    await world.service.start()
    assert world.service.sandboxes() == []
    assert not record.parent.exists()
    assert not (world.cgroup_root / world.word / "pod-1").exists()
    assert not alive(sandbox.infra_pid)


async def test_daemon_killed_at_any_moment_of_a_birth_leaves_a_sandbox_or_nothing(world: World) -> None:
    for pause in (0.0, 0.001, 0.002, 0.004, 0.006, 0.01, 0.02):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.kernel.runtime.daemon_side",
            cwd=PROJECT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        order = {
            "workdir": str(world.workdir),
            "word": world.word,
            "image": str(world.image),
            "containers": [],
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(order).encode() + b"\n")
        await process.stdin.drain()
        pods = world.workdir / "run" / "pods"
        await asyncio.to_thread(wait_until, lambda: (pods / "pod-1").exists())  # noqa: B023
        await asyncio.sleep(pause)
        process.kill()
        await process.wait()
        async with adopted(world) as service:
            for status in service.sandboxes():
                assert status.state is SandboxState.READY or status.infra_pid == 0
                await service.remove_sandbox(status.uid)
            await asyncio.to_thread(wait_until, lambda: list(pods.iterdir()) == [])  # noqa: B023
            assert not (world.cgroup_root / world.word / "pod-1").exists()


async def test_peers_that_speak_nonsense_do_not_bring_a_shim_down(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    container = await world.run(sandbox, "sleep", "1000")
    path = world.workdir / "run" / "pods" / "pod-1" / "shim.sock"
    junk = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\2\0{}",
        b"\xff" * 1000,
        b'\0\0\0\x2c\0{"type":"EndShim","serial":1,"fields":{}}xxx',
    ]
    for data in junk:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            peer.connect(str(path))
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(65536):
                pass
    idle = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    for peer in idle:
        peer.connect(str(path))
    await world.run_to_end(sandbox, "true", name="still")
    for peer in idle:
        peer.close()
    assert world.status(container).state is ContainerState.RUNNING
    assert alive(sandbox.shim_pid)
    async with adopted(world) as service:
        assert sandbox_of(service).state is SandboxState.READY
