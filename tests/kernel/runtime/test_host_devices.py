"""Wherever a pod gets the host's own device nodes it can use them, and change nothing of them."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from pathlib import Path

import pytest

from minipod.linux import namespaces
from minipod.runtime import devices, rootfs
from minipod.runtime.types import ExecConfig, NamespaceMode
from tests.helpers.wait import wait_until
from tests.kernel.linux.test_wrappers import in_child
from tests.kernel.runtime.world import World, process, processes_below

NULL = Path("/dev/null")


def attempt(path: str) -> str:
    """What comes of giving the node the mode it has."""
    try:
        os.chmod(path, stat.S_IMODE(NULL.stat().st_mode))
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "changed"


def streams(pid: int) -> list[str]:
    """The descriptors of a process that are the host's null device."""
    paths = [f"/proc/{pid}/fd/{fd}" for fd in (0, 1, 2)]
    return [path for path in paths if os.path.samestat(os.stat(path), NULL.stat())]


async def test_masks_and_stdin_of_a_container(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    script = "for f in /proc/version /proc/self/fd/0; do chmod 666 $f && exit 1; echo x > $f; done; exec sleep 1000"
    config = world.container(sandbox, "sh", "-c", script)
    config.oci["linux"]["maskedPaths"].append("/proc/version")
    before = NULL.stat().st_ctime_ns
    await world.service.create_container("pod-1", config)
    container = await world.service.start_container("pod-1", config.id)
    root = f"/proc/{container.pid}/root"
    assert [attempt(path) for path in (*streams(container.pid), f"{root}/proc/version")] == ["EROFS"] * 2
    assert [Path(f"{root}/{path}").write_bytes(b"x") for path in ("proc/version", "dev/null")] == [1, 1]
    name = Path(f"/proc/{container.pid}/comm")
    await asyncio.to_thread(wait_until, lambda: name.read_text() == "sleep\n")
    assert NULL.stat().st_ctime_ns == before


@pytest.mark.parametrize("tty", [False, True])
async def test_unwanted_streams_of_a_command(world: World, *, tty: bool) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox())
    container = await world.run(sandbox, "sleep", "1000")
    leaf = world.cgroup_root / world.word / "pod-1" / container.id
    config = ExecConfig(process=process("sleep", "1000", tty=tty), tty=tty, stdout=tty, stderr=tty)
    opened = await world.service.exec("pod-1", container.id, config)
    await asyncio.to_thread(wait_until, lambda: len(processes_below(leaf)) == 2)
    [pid] = {*processes_below(leaf)} - {container.pid}
    assert [attempt(path) for path in streams(pid)] == ([] if tty else ["EROFS"] * 3)
    await opened.close()


async def test_streams_of_the_infra_process_which_containers_may_see(world: World) -> None:
    sandbox = await world.service.run_sandbox(world.sandbox(pid=NamespaceMode.POD))
    assert [attempt(path) for path in streams(sandbox.infra_pid)] == ["EROFS"] * 3


def test_a_node_that_is_bound_because_none_can_be_made(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no device nodes here")

    monkeypatch.setattr(os, "mknod", forbidden)

    def body() -> str:
        namespaces.unshare(namespaces.CLONE_NEWNS)
        rootfs.receive_only()
        root_fd = os.open(workdir, os.O_PATH | os.O_DIRECTORY)
        devices.create(root_fd, devices.plan(()))
        node = workdir / "dev" / "null"
        return f"{attempt(str(node))}, {node.write_bytes(b'x')} written"

    assert in_child(body) == "EROFS, 1 written"
