"""sd_notify, passed sockets and the journal's protocol, spoken to real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.linux import sd_notify
from minipod.linux.sd_journal import Journal, encode
from minipod.linux.sd_listen_fds import inherited_sockets


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.settimeout(5)
        yield sock


def test_states_go_in_one_datagram(listener: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": listener.getsockname()}
    sent = sd_notify.notify(sd_notify.READY, sd_notify.status("a\nMAINPID=1"), environ=environ)
    assert sent
    assert listener.recv(100) == b"READY=1\nSTATUS=a MAINPID=1"


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0minipod-test-{os.getpid()}")
        assert sd_notify.notify(
            sd_notify.extend_timeout(1.5), environ={"NOTIFY_SOCKET": f"@minipod-test-{os.getpid()}"}
        )
        assert sock.recv(100) == b"EXTEND_TIMEOUT_USEC=1500000"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_nobody_listens(environ: dict[str, str]) -> None:
    assert not sd_notify.notify(sd_notify.READY, environ=environ)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdogs_patience(environ: dict[str, str], seconds: float | None) -> None:
    assert sd_notify.watchdog_seconds(environ=environ, pid=7) == seconds


def test_sockets_are_taken_once_and_by_whom_they_are_for() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        fd = os.dup(sock.fileno())
    os.set_inheritable(fd, True)
    mine = {"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "OTHER": "1"}
    assert inherited_sockets(environ=dict(mine), pid=8, first=fd) == []
    (taken,) = inherited_sockets(environ=mine, pid=7, first=fd)
    with taken:
        assert taken.fileno() == fd
        assert taken.family == socket.AF_UNIX
        assert not os.get_inheritable(fd)
    assert mine == {"OTHER": "1"}
    assert inherited_sockets(environ=mine, pid=7, first=fd) == []


def test_what_is_no_socket_is_an_error(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match=r"."):
            inherited_sockets(environ={"LISTEN_PID": "7", "LISTEN_FDS": "1"}, pid=7, first=fd)
    finally:
        os.close(fd)


def test_a_value_with_a_line_break_is_no_field_of_its_own() -> None:
    assert encode([("MESSAGE", b"one"), ("A", b"")]) == b"MESSAGE=one\nA=\n"
    assert encode([("MESSAGE", b"x\nPRIORITY=0")]) == (
        b"MESSAGE\n" + (12).to_bytes(8, "little") + b"x\nPRIORITY=0\n"
    )


def test_an_entry_reaches_the_journal(listener: socket.socket) -> None:
    journal = Journal(Path(listener.getsockname()))
    journal.send([("MESSAGE", b"hello"), ("POD_NAME", b"web")])
    journal.close()
    assert listener.recv(1000) == b"MESSAGE=hello\nPOD_NAME=web\n"


def test_an_entry_too_large_for_a_datagram_comes_as_a_sealed_file(listener: socket.socket) -> None:
    journal = Journal(Path(listener.getsockname()))
    text = b"x" * 5_000_000
    journal.send([("MESSAGE", text)])
    journal.close()
    _, fds, _, _ = socket.recv_fds(listener, 10, 1)
    with os.fdopen(fds[0], "rb") as file:
        file.seek(0)
        assert file.read() == b"MESSAGE=" + text + b"\n"
    with pytest.raises(OSError, match=r"."):
        Journal(Path("/nonexistent/socket"))


def test_nobody_waits_for_a_slow_journal(listener: socket.socket) -> None:
    journal = Journal(Path(listener.getsockname()))

    def fill() -> None:
        for _ in range(100_000):
            journal.send([("MESSAGE", b"y" * 1000)])

    with pytest.raises(BlockingIOError):
        fill()
    journal.close()
