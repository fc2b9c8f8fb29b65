from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.runtime import logs
from minipod.runtime.logs import MAX_LINE, Clock, LineFramer, LogFile

STAMP = b"2026-11-24T10:00:00.000000001Z"


def framed(text: bytes, tag: bytes = b"F", stream: bytes = b"stdout") -> bytes:
    return b"%b %b %b %b\n" % (STAMP, stream, tag, text)


def test_a_stamp_has_nine_digits_and_the_second_changes() -> None:
    clock = Clock()
    assert clock.stamp(1_795_514_400_000_000_007) == b"2026-11-24T10:00:00.000000007Z"
    assert clock.stamp(1_795_514_400_999_999_999) == b"2026-11-24T10:00:00.999999999Z"
    assert clock.stamp(1_795_514_401_000_000_000) == b"2026-11-24T10:00:01.000000000Z"


def test_each_line_is_framed_and_an_unfinished_one_waits() -> None:
    framer = LineFramer("stdout")
    assert framer.feed(b"one\ntwo\n\nth", STAMP) == framed(b"one") + framed(b"two") + framed(b"")
    assert framer.pending == 2
    assert framer.feed(b"ree\n", STAMP) == framed(b"three")
    assert framer.feed(b"", STAMP) == b""


def test_output_that_ends_without_a_newline_ends_as_a_piece() -> None:
    framer = LineFramer("stderr")
    assert framer.feed(b"prompt> ", STAMP) == b""
    assert framer.finish(STAMP) == framed(b"prompt> ", b"P", b"stderr")
    assert framer.finish(STAMP) == b""


@pytest.mark.parametrize("extra", [0, 1, MAX_LINE, MAX_LINE + 1])
def test_only_lines_over_the_limit_are_cut(extra: int) -> None:
    framer = LineFramer("stdout")
    line = b"x" * (MAX_LINE + extra)
    tags = [entry.split(b" ")[2] for entry in framer.feed(line + b"\n", STAMP).splitlines()]
    assert tags == [b"P"] * ((len(line) - 1) // MAX_LINE) + [b"F"]


def test_carriage_returns_of_a_terminal_stay() -> None:
    assert LineFramer("stdout").feed(b"a\r\n", STAMP) == framed(b"a\r")


lines = st.lists(st.integers(0, 3 * MAX_LINE + 5), max_size=6)


@settings(deadline=None)
@given(lines, st.booleans(), st.integers(100, 70_000))
def test_joining_the_pieces_gives_back_the_output(lengths: list[int], ends: bool, chunk: int) -> None:
    source = b"\n".join(b"%d" % (i % 10) * n for i, n in enumerate(lengths)) + (b"\n" if ends else b"")
    framer = LineFramer("stdout")
    out = b"".join(framer.feed(source[at : at + chunk], STAMP) for at in range(0, len(source), chunk))
    out += framer.finish(STAMP)
    joined = b""
    for entry in out.splitlines():
        _, _, tag, text = entry.split(b" ", 3)
        assert len(text) <= MAX_LINE
        joined += text + (b"\n" if tag == b"F" else b"")
    assert joined == source


def test_the_log_directory_and_file_have_their_modes(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        log = LogFile(tmp_path / "pod" / "c" / "0.log")
    finally:
        os.umask(old)
    log.close()
    assert (tmp_path / "pod" / "c").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "pod").stat().st_mode & 0o777 == 0o755


def test_a_log_is_never_opened_through_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "0.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        LogFile(tmp_path / "0.log")
    assert not (tmp_path / "elsewhere").exists()


def test_rotation_keeps_the_newest_files_and_loses_no_line_of_them(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log = LogFile(path, max_bytes=100, max_files=3)
    for number in range(100):
        log.write(b"line %04d 0123456789\n" % number, 10)
    log.close()
    rotated = logs.rotated_files(path)
    assert len(rotated) == 2
    assert all(re.fullmatch(r"0\.log\.\d{8}-\d{6}(\.\d{9})?", p.name) for p in rotated)
    kept = b"".join(p.read_bytes() for p in [*rotated, path]).splitlines()
    assert [int(line.split()[1]) for line in kept] == list(range(100 - len(kept), 100))
    assert len(kept) >= 2 * 4 + 1
    assert all(p.stat().st_size <= 100 for p in [*rotated, path])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in [*rotated, path])


def test_a_batch_larger_than_a_file_is_written_whole(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "0.log", max_bytes=10, max_files=2)
    log.write(b"a" * 50 + b"\n", 50)
    log.write(b"b" * 50 + b"\n", 50)
    log.close()
    assert (tmp_path / "0.log").read_bytes() == b"b" * 50 + b"\n"
    assert [p.read_bytes() for p in logs.rotated_files(tmp_path / "0.log")] == [b"a" * 50 + b"\n"]


def test_a_log_that_was_taken_away_starts_anew_at_rotation(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log = LogFile(path, max_bytes=10)
    log.write(b"12345678\n", 8)
    path.unlink()
    log.write(b"abcdefgh\n", 8)
    log.close()
    assert path.read_bytes() == b"abcdefgh\n"


def test_a_full_disk_costs_whole_batches_only_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "0.log"
    log = LogFile(path)
    log.write(b"before\n", 6)
    real, room = os.write, [5]

    def nearly_full(fd: int, data: bytes) -> int:
        if room[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(fd, bytes(data)[: room[0]])
        room[0] -= done
        return done

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", nearly_full)
        log.write(b"half of this fits\n", 17)
        log.write(b"nothing of this\n", 15)
    assert log.lost == 32
    assert log.error is not None
    assert log.error.errno == errno.ENOSPC
    log.write(b"after\n", 5)
    assert log.error is None
    log.close()
    assert path.read_bytes() == b"before\nafter\n"
