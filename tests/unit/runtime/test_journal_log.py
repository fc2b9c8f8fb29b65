"""What containers write, as entries of the journal: on a real socket that stands in for journald's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.linux.sd_journal import Journal
from minipod.runtime.journal_log import JournalLog
from minipod.runtime.logs import LineFramer


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def journal(journald: socket.socket) -> Iterator[Journal]:
    opened = Journal(Path(journald.getsockname()))
    yield opened
    opened.close()


def entry(journald: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in journald.recv(100_000).decode().splitlines())


def test_each_line_is_an_entry_with_its_priority(journald: socket.socket, journal: Journal) -> None:
    log = JournalLog(journal, {"POD_NAME": "web"})
    log.write(b"2026-01-01T00:00:00Z stdout F hello, world\n2026-01-01T00:00:00Z stderr F oh = no\n")
    assert entry(journald) == {
        "MESSAGE": "hello, world",
        "PRIORITY": "6",
        "STREAM": "stdout",
        "POD_NAME": "web",
    }
    assert entry(journald) == {"MESSAGE": "oh = no", "PRIORITY": "3", "STREAM": "stderr", "POD_NAME": "web"}


def test_a_container_cannot_name_itself_another_pod(journald: socket.socket, journal: Journal) -> None:
    log = JournalLog(journal, {"POD_NAME": "web"})
    framer = LineFramer("stdout")
    log.write(framer.feed(b"POD_NAME=db\nx\rPOD_NAME=db\n", b"t"))
    assert [entry(journald)["POD_NAME"] for _ in range(2)] == ["web", "web"]


def test_an_unfinished_line_is_told_from_a_whole_one(journald: socket.socket, journal: Journal) -> None:
    log = JournalLog(journal, {})
    log.write(b"t stdout P half\n")
    assert entry(journald)["CONTAINER_PARTIAL_MESSAGE"] == "true"


def test_what_a_slow_journal_misses_is_counted_and_nobody_waits(
    journald: socket.socket, journal: Journal
) -> None:
    log = JournalLog(journal, {})
    for _ in range(5000):
        log.write(b"t stdout F " + b"x" * 200 + b"\n")
    kept = 0
    try:
        while True:
            journald.recv(1000)
            kept += 1
    except BlockingIOError:
        pass
    assert 0 < kept < 5000
    log.write(b"t stdout F again\n")
    assert entry(journald)["MESSAGE"] == f"{5000 - kept} lines are missing here: journald was slow"
    assert entry(journald)["MESSAGE"] == "again"
