from __future__ import annotations

import asyncio
import os
import socket

import pytest

from minipod.runtime.channel import TO_DAEMON, TO_SHIM, Attach, Channel, CloseStreams, StreamsOpened
from minipod.runtime.link import Link


@pytest.mark.parametrize("hung_up", [False, True])
async def test_a_request_cancelled_in_the_moment_of_its_answer_leaves_nothing_behind(
    *, hung_up: bool
) -> None:
    near, far = socket.socketpair()
    link = Link(near, TO_DAEMON, on_event=lambda _: None, on_lost=lambda: None)
    peer = Channel(far, TO_SHIM)
    request = asyncio.create_task(link.request(Attach("c", stdin=False)))
    await asyncio.sleep(0)
    [asked] = peer.receive()
    read, write = os.pipe()
    peer.send(StreamsOpened(1, ("stdout",)), serial=asked.serial, fds=(read,))
    link._readable()  # the answer is there, and its task not yet awake
    if hung_up:
        link.close()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    with pytest.raises(BrokenPipeError):
        os.write(write, b"x")
    with pytest.raises(KeyError):
        link.exit_of(1)
    if not hung_up:
        assert [received.message for received in peer.receive()] == [CloseStreams(1)]
    link.close()
    peer.close()
    os.close(write)
