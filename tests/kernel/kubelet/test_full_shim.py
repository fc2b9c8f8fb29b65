"""A pod's shim that is out of file descriptors: it says so, lives on, and is well again when they are given back."""

from __future__ import annotations

import asyncio
import os
import resource

from minipod.client.node import StreamRequest
from minipod.runtime.streams import ProcessStreams
from tests.kernel.kubelet.node import Node

LIMIT = 100
FLOOD = 150


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def test_execs_beyond_its_limit_fail_and_those_after_them_do_not(node: Node) -> None:
    await node.create("busy")
    await node.ready("busy")
    [sandbox] = node.runtime.sandboxes()
    shim = sandbox.shim_pid
    usual = open_files(shim)
    resource.prlimit(shim, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    sleep = StreamRequest(namespace="default", pod="busy", command=("sleep", "600"))
    held: list[ProcessStreams] = list(
        await asyncio.gather(*(node.kubelet.connection.exec(sleep) for _ in range(FLOOD)))
    )
    ends = {asyncio.create_task(streams.wait()) for streams in held}
    refused, running = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    assert refused
    assert running
    assert all("too many open files" in task.result().message.lower() for task in refused)
    for streams in held:
        await streams.close()
    for end in running:
        end.cancel()  # nobody is told of the end of what was let go
    await node.until(lambda: open_files(shim) <= usual, "the shim to give back its descriptors")
    assert await node.exec("busy", "echo", "again") == (0, "again\n")
    assert [one.shim_pid for one in node.runtime.sandboxes()] == [shim]
