"""Container output on its way into log files: framing, rotation, a full disk, and output at a container's end."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from pathlib import Path

from minipod.kubelet.server.logs import LogOptions, read_logs
from minipod.runtime import logs
from minipod.runtime.logs import MAX_LINE
from minipod.runtime.types import ContainerState, ContainerStatus, NamespaceMode, TmpfsMount
from tests.helpers.wait import wait_until
from tests.kernel.runtime.test_exec import read_until
from tests.kernel.runtime.world import World

LINE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP]) (.*)", re.DOTALL)


def entries(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(stream, tag, text) of each line; every line must be well-formed."""
    assert data.endswith(b"\n") or not data
    found = []
    for line in data.split(b"\n")[:-1]:
        match = LINE.fullmatch(line)
        assert match, line
        found.append((match[2], match[3], match[4]))
    return found


async def run(world: World, script: str, **fields: bool) -> ContainerStatus:
    sandbox = await world.service.run_sandbox(world.sandbox())
    return await world.run_to_end(sandbox, "sh", "-c", script, **fields)


async def test_everything_written_before_the_end_is_in_the_log_when_the_end_is_reported(
    world: World,
) -> None:
    container = await run(world, "seq 20000; echo last >&2; printf unfinished")
    found = entries(container.log_path.read_bytes())
    numbers = [int(text) for stream, _, text in found if stream == b"stdout" and text != b"unfinished"]
    assert numbers == list(range(1, 20001))
    assert (b"stderr", b"F", b"last") in found
    await asyncio.to_thread(
        wait_until,
        lambda: (b"stdout", b"P", b"unfinished") in entries(container.log_path.read_bytes()),
    )


async def test_times_in_the_log_are_the_containers(world: World) -> None:
    before = time.time()
    container = await run(world, "echo x")
    stamp = container.log_path.read_bytes().split(b" ")[0].decode()
    at = datetime.strptime(stamp[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
    assert before - 0.001 <= at <= time.time()
    assert container.log_path.stat().st_mode & 0o777 == 0o640
    assert container.log_path.parent.stat().st_mode & 0o777 == 0o755


async def test_long_lines_are_cut_and_come_back_whole(world: World) -> None:
    container = await run(world, f"head -c {3 * MAX_LINE + 5} /dev/zero | tr '\\0' x; echo; echo short")
    found = entries(container.log_path.read_bytes())
    assert [(tag, len(text)) for _, tag, text in found] == [
        (b"P", MAX_LINE),
        (b"P", MAX_LINE),
        (b"P", MAX_LINE),
        (b"F", 5),
        (b"F", 5),
    ]
    text = b"".join([chunk async for chunk in read_logs(container.log_path, LogOptions())])
    assert text == b"x" * (3 * MAX_LINE + 5) + b"\nshort\n"


async def test_a_prompt_without_a_newline_is_in_the_log_after_the_end(world: World) -> None:
    container = await run(world, "printf 'a\\nb'")
    await asyncio.to_thread(
        wait_until, lambda: container.log_path.read_bytes().count(b"\n") == 2, 10, "two lines"
    )
    assert entries(container.log_path.read_bytes()) == [
        (b"stdout", b"F", b"a"),
        (b"stdout", b"P", b"b"),
    ]


async def test_a_terminals_output_keeps_its_carriage_returns(world: World) -> None:
    container = await run(world, "echo one; echo two >&2", tty=True)
    assert entries(container.log_path.read_bytes()) == [
        (b"stdout", b"F", b"one\r"),
        (b"stdout", b"F", b"two\r"),
    ]


async def test_attempts_have_logs_of_their_own(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    paths = []
    for attempt in range(2):
        container = await world.run_to_end(sandbox, "echo", f"attempt {attempt}", attempt=attempt)
        paths.append(container.log_path)
    assert [entries(p.read_bytes()) for p in paths] == [
        [(b"stdout", b"F", b"attempt 0")],
        [(b"stdout", b"F", b"attempt 1")],
    ]


async def test_logs_rotate_and_the_kubelet_reads_across(world: World) -> None:
    await world.service.stop()
    world.service = world.new_service(log_max_bytes=1_000_000, log_max_files=3)
    await world.service.start()
    container = await run(world, "seq 100000")
    path = container.log_path
    assert sum(1 for _ in path.parent.iterdir()) == 3
    assert len(logs.rotated_files(path)) == 2
    for part in [*logs.rotated_files(path), path]:
        assert part.stat().st_size <= 1_000_000
        entries(part.read_bytes())
    text = b"".join([chunk async for chunk in read_logs(path, LogOptions())])
    kept = [int(line) for line in text.split()]
    assert kept == list(range(kept[0], 100_001))


async def test_a_full_disk_holds_nobody_up_and_is_reported(world: World) -> None:
    small = world.workdir / "log" / "pod-1"
    sandbox = await world.service.run_sandbox(
        world.sandbox(mounts=(TmpfsMount(target=small, options="size=64k"),))
    )
    config = world.container(
        sandbox, "sh", "-c", "read x; seq 200000; read x; echo back; sleep 1000", stdin=True
    )
    await world.service.create_container("pod-1", config)
    container = await world.service.start_container("pod-1", config.id)
    inside = Path(f"/proc/{sandbox.shim_pid}/root") / config.log_path.relative_to("/")
    client = await world.service.attach("pod-1", container.id, True)
    (inside.parent / "ballast").write_bytes(b"x" * 40_000)
    await client.write_stdin(b"go\n")
    await read_until(client, b"\n200000\n")  # the container is not held up
    assert any("No space left" in w for w in world.status(container).warnings)
    assert world.status(container).state is ContainerState.RUNNING
    (inside.parent / "ballast").unlink()
    await client.write_stdin(b"on\n")
    await world.until(lambda: any("again" in w for w in world.status(container).warnings))
    found = entries(inside.read_bytes())
    assert found[-1] == (b"stdout", b"F", b"back")
    (warning,) = world.status(container).warnings
    lost = int(re.findall(r"(\d+) bytes", warning)[0])
    written = sum(len(text) + 1 for _, _, text in found)
    assert lost + written == sum(len(str(n)) + 1 for n in range(1, 200_001)) + len("back\n")
    await client.close()


async def test_output_of_what_outlives_the_container_is_no_reason_to_wait(world: World) -> None:
    """With the pod's pid namespace, a process in the background keeps the pipe open."""
    sandbox = await world.service.run_sandbox(world.sandbox(pid=NamespaceMode.POD))
    container = await world.run_to_end(sandbox, "sh", "-c", "sleep 1000 & echo done", pid=NamespaceMode.POD)
    assert container.exit is not None
    assert container.exit.code == 0
    assert entries(container.log_path.read_bytes()) == [(b"stdout", b"F", b"done")]


async def test_a_chatty_container_does_not_hold_up_its_neighbour(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    await world.run(sandbox, "yes", name="chatty")
    async with asyncio.timeout(10):
        container = await world.run_to_end(sandbox, "echo", "here", name="quiet")
    assert entries(container.log_path.read_bytes()) == [(b"stdout", b"F", b"here")]
