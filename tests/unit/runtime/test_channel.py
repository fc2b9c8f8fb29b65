from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.runtime import channel, wire
from minipod.runtime.channel import (
    Channel,
    Done,
    Hello,
    MakeShim,
    Message,
    Received,
    Refused,
    SignalContainer,
    StopSandbox,
    StreamsOpened,
)
from minipod.runtime.errors import ProtocolError
from minipod.runtime.types import StartFailure
from tests.unit.runtime.test_wire import SANDBOX


class Pair:
    def __init__(self) -> None:
        ours, self.raw = socket.socketpair()
        self.raw.setblocking(False)
        self.end = Channel(ours, channel.TO_SHIM)


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.end.close()
    made.raw.close()


def frame(body: bytes, fds: int = 0) -> bytes:
    return struct.pack(">IB", len(body), fds) + body


def envelope(name: object, fields: object, serial: object = 1) -> bytes:
    return frame(wire.encode({"type": name, "serial": serial, "fields": fields}))


def test_messages_arrive_in_order_with_their_serials_and_descriptors() -> None:
    left, right = socket.socketpair()
    daemon, shim = Channel(left, channel.TO_DAEMON), Channel(right, channel.TO_SHIM)
    read, write = os.pipe()
    shim.send(Done(), serial=4)
    shim.send(StreamsOpened(7, ("stdout",)), serial=5, fds=(read,))
    shim.send(Refused("StartError", "no", StartFailure(stage="exec", errno=2, operand="x", message="no")))
    got = list(daemon.receive())
    assert [r.serial for r in got] == [4, 5, 0]
    assert got[1].message == StreamsOpened(7, ("stdout",))
    os.write(write, b"through")
    (received,) = got[1].fds
    assert os.read(received, 100) == b"through"
    assert not os.get_inheritable(received)
    os.close(received)
    with pytest.raises(BrokenPipeError):  # what was sent belonged to the channel: no reader is left
        os.write(write, b"nobody")
    os.close(write)
    daemon.close()
    with pytest.raises(BrokenPipeError):
        shim.send(Done())
    shim.close()


def test_a_nested_message_survives() -> None:
    left, right = socket.socketpair()
    one, other = Channel(left, ()), Channel(right, channel.TO_SPAWNER)
    message = MakeShim(SANDBOX, Path("/run/x"), Path("/sys/fs/cgroup/x"), 7, 8, 9)
    one.send(message)
    assert list(other.receive()) == [Received(0, message)]
    one.close()
    with pytest.raises(EOFError):
        list(other.receive())
    other.close()


def test_a_peer_that_does_not_read_is_kept_waiting_and_gets_everything() -> None:
    left, right = socket.socketpair()
    shim, daemon = Channel(left, ()), Channel(right, channel.TO_DAEMON)
    read, write = os.pipe()
    text = "x" * 100_000
    for _ in range(20):
        shim.send(Refused("X", text))
    shim.send(StreamsOpened(1, ("stdin",)), fds=(write,))
    assert shim.backlog > 0
    got: list[Received] = []
    while len(got) < 21:
        got += daemon.receive()
        shim.flush()
    assert shim.backlog == 0
    assert [len(r.message.message) for r in got[:20] if isinstance(r.message, Refused)] == [100_000] * 20
    os.close(got[20].fds[0])
    assert os.read(read, 1) == b""
    os.close(read)
    shim.close()
    daemon.close()


@pytest.mark.parametrize(
    "data",
    [
        frame(b"{"),
        frame(b"[]"),
        frame(b'{"type":"Hello"}'),
        envelope("Nonsense", {}),
        envelope(["Hello"], {}),
        envelope("Done", {}),  # known, but not to be said to a shim
        envelope("Hello", {"version": "1"}),
        envelope("Hello", {"version": 1}, serial="1"),
        envelope("Hello", None),
        frame(b"{}", fds=3),
        frame(b"{}", fds=200),
        struct.pack(">IB", 0xFFFFFFFF, 0),
    ],
)
def test_what_is_not_an_expected_message_is_its_own_error(pair: Pair, data: bytes) -> None:
    pair.raw.sendall(data)
    with pytest.raises(ProtocolError):
        list(pair.end.receive())


def test_descriptors_nobody_asked_for_do_not_leak(pair: Pair) -> None:
    read, write = os.pipe()
    socket.send_fds(pair.raw, [b"junk"], [write])
    os.close(write)
    list(pair.end.receive())
    pair.end.close()
    assert os.read(read, 1) == b""
    os.close(read)


def test_more_descriptors_than_fit_are_refused_and_do_not_leak(pair: Pair) -> None:
    read, write = os.pipe()
    rights = array.array("i", [write] * (channel.MAX_FDS + 5))
    pair.raw.sendmsg([b"junk"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(write)
    with pytest.raises(ProtocolError):
        list(pair.end.receive())
    pair.end.close()
    assert os.read(read, 1) == b""
    os.close(read)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_raise_a_protocol_error(data: bytes) -> None:
    made = Pair()
    try:
        made.raw.sendall(data)
        list(made.end.receive())
    except ProtocolError:
        pass
    finally:
        made.end.close()
        made.raw.close()


messages: list[Message] = [Hello(1), StopSandbox(), SignalContainer("c", 15)]


@given(st.lists(st.sampled_from(messages), max_size=8), st.integers(1, 40))
def test_messages_torn_anywhere_arrive_whole(sent: list[Message], chunk: int) -> None:
    made = Pair()
    data = b"".join(envelope(type(m).__name__, m) for m in sent)
    got: list[Message] = []
    for at in range(0, len(data), chunk):
        made.raw.sendall(data[at : at + chunk])
        got += [r.message for r in made.end.receive()]
    assert got == sent
    made.end.close()
    made.raw.close()
