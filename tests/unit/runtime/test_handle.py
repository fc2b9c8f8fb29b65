"""What a daemon takes over of a sandbox, and what it hears of it in the same breath."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from pathlib import Path

from minipod.runtime.channel import TO_SHIM, VERSION, Channel, ContainerChanged, Welcome
from minipod.runtime.handle import SandboxHandle
from minipod.runtime.link import Link
from minipod.runtime.state import SandboxRecord, StateDirectory, sandbox_status
from minipod.runtime.types import ContainerState, ContainerStatus, ExitRecord, SandboxConfig


async def test_an_end_told_right_after_the_welcome_is_not_lost(tmp_path: Path) -> None:
    config = SandboxConfig(uid="u", name="n", namespace="ns", hostname="n", cgroup="g")
    record = SandboxRecord(config=config, cgroup=tmp_path, created_at=1)
    changes: list[SandboxHandle] = []
    handle = SandboxHandle(
        record, StateDirectory(tmp_path), on_change=changes.append, on_lost=lambda _: None
    )
    near, far = socket.socketpair()
    near.setblocking(False)
    peer = Channel(far, TO_SHIM)
    handle._connect = lambda: near  # type: ignore[method-assign]
    adoption = asyncio.create_task(handle.reconnect())
    await asyncio.sleep(0)
    [hello] = peer.receive()
    runs = ContainerStatus(
        id="c", name="main", attempt=0, state=ContainerState.RUNNING, created_at=1, log_path=tmp_path
    )
    exit_ = ExitRecord(code=5, started_at=1, finished_at=2)
    peer.send(
        Welcome(VERSION, sandbox_status(record, (runs,))),
        serial=hello.serial,
        fds=(os.pidfd_open(os.getpid()),),
    )
    peer.send(ContainerChanged(replace(runs, state=ContainerState.EXITED, exit=exit_)))
    assert isinstance(handle.link, Link)
    handle.link._readable()  # both at once, and whoever waits for the first not yet awake
    await adoption
    (found,) = handle.status.containers
    assert found.exit == exit_
    handle.close()
    peer.close()
