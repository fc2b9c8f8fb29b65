"""Attaching to a container: copies of its output from now on, its stdin, its terminal."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from minipod.runtime.errors import WrongStateError
from minipod.runtime.pump import TAP_BUFFER
from minipod.runtime.streams import ProcessStreams
from minipod.runtime.types import ContainerState, ContainerStatus, ProcessExit
from tests.helpers.wait import wait_until
from tests.kernel.runtime.test_exec import read_all, read_until
from tests.kernel.runtime.world import World

TICKS = "i=0; while :; do i=$((i+1)); echo tick $i; echo tock $i >&2; sleep 0.01; done"


async def run(world: World, *args: str, **fields: bool) -> ContainerStatus:
    sandbox = await world.service.run_sandbox(world.sandbox())
    return await world.run(sandbox, *args, **fields)


async def attach(world: World, container: ContainerStatus, *, stdin: bool = False) -> ProcessStreams:
    return await world.service.attach("pod-1", container.id, stdin)


async def test_several_clients_get_the_same_output_and_the_log_too(world: World) -> None:
    container = await run(world, "sh", "-c", TICKS)
    clients = [await attach(world, container) for _ in range(3)]
    for client in clients:
        await read_until(client, b"tick 40\n")
        await client.close()
    assert world.status(container).state is ContainerState.RUNNING
    log = container.log_path.read_bytes()
    assert b"stdout F tick 40\n" in log
    assert b"stderr F tock 39\n" in log


async def test_the_end_of_the_container_ends_the_streams_with_its_code(world: World) -> None:
    container = await run(world, "sh", "-c", "read x; echo last words; exit 9", stdin=True)
    client = await attach(world, container, stdin=True)
    await client.write_stdin(b"go\n")
    assert await read_all(client) == {"stdout": b"last words\n", "stderr": b""}
    assert await client.wait() == ProcessExit(9)
    await client.close()


async def test_stdin_stays_open_for_the_next_client(world: World) -> None:
    container = await run(world, "cat", stdin=True)
    for word in (b"one\n", b"two\n"):
        client = await attach(world, container, stdin=True)
        await client.write_stdin(word)
        await read_until(client, word)
        await client.close_stdin()
        await client.close()
    assert world.status(container).state is ContainerState.RUNNING


@pytest.mark.parametrize("how", ["close_stdin", "close"])
async def test_stdin_once_ends_with_its_first_client(world: World, how: str) -> None:
    container = await run(world, "cat", stdin=True, stdin_once=True)
    observer = await attach(world, container)
    client = await attach(world, container, stdin=True)
    await client.write_stdin(b"word\n")
    await read_until(client, b"word\n")
    await (client.close_stdin() if how == "close_stdin" else client.close())
    status = await world.ended(container)
    assert status.exit is not None
    assert status.exit.code == 0
    await client.close()
    await observer.close()


async def test_an_observer_does_not_end_stdin(world: World) -> None:
    container = await run(world, "cat", stdin=True, stdin_once=True)
    observer = await attach(world, container)
    await observer.write_stdin(b"ignored\n")
    await observer.close_stdin()
    await observer.close()
    client = await attach(world, container, stdin=True)
    await client.write_stdin(b"word\n")
    assert await read_until(client, b"word\n") == b"word\n"
    await client.close()


async def test_a_container_without_stdin_reads_an_end(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    status = await world.run_to_end(sandbox, "sh", "-c", "cat; exit 4")
    assert status.exit is not None
    assert status.exit.code == 4


async def test_a_terminal_is_shared_logged_and_resizable(world: World) -> None:
    script = "tty; while read x; do echo got $x; stty size; done"
    container = await run(world, "sh", "-c", script, stdin=True, tty=True)
    client = await attach(world, container, stdin=True)
    observer = await attach(world, container)
    await client.resize(81, 26)
    await client.write_stdin(b"hello\r")
    await read_until(client, b"26 81\r\n")
    assert b"got hello\r\n" in await read_until(observer, b"26 81\r\n")
    await observer.close()
    await client.close()
    assert world.status(container).state is ContainerState.RUNNING
    log = container.log_path.read_bytes()
    assert b"stdout F /dev/console\r\n" in log or b"stdout F /dev/pts/0\r\n" in log
    assert b"stdout F got hello\r\n" in log


async def test_a_slow_client_is_let_go_and_the_container_goes_on(world: World) -> None:
    lines = TAP_BUFFER // 4
    container = await run(world, "sh", "-c", f"read x; seq {lines}; read x; exit 0", stdin=True)
    slow = await attach(world, container, stdin=True)
    await slow.write_stdin(b"go\n")
    log = container.log_path
    await asyncio.to_thread(_wait_for_line, log, b" F %d\n" % lines)
    exit_ = await slow.wait()
    assert "behind" in exit_.message
    received = (await read_all(slow))["stdout"]
    assert received.startswith(b"1\n2\n3\n")
    assert len(received) <= TAP_BUFFER
    await slow.close()
    assert world.status(container).state is ContainerState.RUNNING
    client = await attach(world, container, stdin=True)
    await client.write_stdin(b"end\n")
    assert (await client.wait()).code == 0
    await client.close()


async def test_a_client_that_is_gone_leaves_nothing_in_the_shim(world: World) -> None:
    container = await run(world, "sleep", "1000")
    sandbox = world.service.status("pod-1")
    assert sandbox is not None
    theirs = f"/proc/{sandbox.shim_pid}/fd"
    before, before_theirs = len(os.listdir("/proc/self/fd")), len(os.listdir(theirs))
    for _ in range(10):
        client = await attach(world, container)
        await client.close()
    await asyncio.to_thread(wait_until, lambda: len(os.listdir(theirs)) == before_theirs)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_only_a_running_container_can_be_attached_to(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    container = await world.run_to_end(sandbox, "true")
    with pytest.raises(WrongStateError):
        await attach(world, container)


def _wait_for_line(path: Path, line: bytes) -> None:
    wait_until(lambda: path.exists() and line in path.read_bytes())
