"""Reading CRI log files: joined pieces, tails across rotated files, following a live one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.kubelet.server.logs import LogLine, LogOptions, LogReader, log_files, parse_line, read_logs

T = "2026-01-01T00:00:{:02d}.000000000Z"


def line(second: int, text: str, *, stream: str = "stdout", full: bool = True) -> str:
    return f"{T.format(second)} {stream} {'F' if full else 'P'} {text}\n"


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))
    return path


async def read(path: Path, **options: object) -> str:
    pieces = [piece async for piece in read_logs(path, LogOptions(**options))]  # type: ignore[arg-type]
    return b"".join(pieces).decode()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"T stdout F hello world", LogLine(b"T", b"stdout", True, b"hello world")),
        (b"T stderr P piece", LogLine(b"T", b"stderr", False, b"piece")),
        (b"T stdout F ", LogLine(b"T", b"stdout", True, b"")),
        (b"T stdout F:tag x", LogLine(b"T", b"stdout", True, b"x")),
        (b"T stdlog F x", None),
        (b"nonsense", None),
        (b"", None),
    ],
)
def test_a_line_of_the_file(raw: bytes, expected: LogLine | None) -> None:
    assert parse_line(raw) == expected


async def test_both_streams_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path / "0.log", line(1, "out"), line(2, "err", stream="stderr"), line(3, ""))
    assert await read(path) == "out\nerr\n\n"


async def test_pieces_of_a_long_line_are_joined(tmp_path: Path) -> None:
    path = write(
        tmp_path / "0.log", line(1, "a", full=False), line(1, "b", full=False), line(1, "c"), line(2, "d")
    )
    assert await read(path) == "abc\nd\n"
    assert await read(path, timestamps=True) == f"{T.format(1)} abc\n{T.format(2)} d\n"


async def test_a_broken_line_is_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "0.log", line(1, "a"), "garbage\n", line(2, "b"), "2026-01-01T00:00:03Z stdout F cut"
    )
    assert await read(path) == "a\nb\n"


@pytest.mark.parametrize(
    ("limit", "expected"), [(0, ""), (3, "abc"), (4, "abc\n"), (6, "abc\nde"), (99, "abc\ndef\n")]
)
async def test_a_limit_counts_bytes_of_output(tmp_path: Path, limit: int, expected: str) -> None:
    path = write(tmp_path / "0.log", line(1, "abc"), line(2, "def"))
    assert await read(path, limit=limit) == expected


async def test_since_compares_with_each_lines_time(tmp_path: Path) -> None:
    path = write(tmp_path / "0.log", *(line(s, f"l{s}") for s in range(5)))
    assert await read(path, since=datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)) == "l3\nl4\n"


def rotated(tmp_path: Path) -> Path:
    """Three files of one log, three lines each."""
    for number, name in enumerate(("0.log.20260101-000000", "0.log.20260101-000001", "0.log")):
        write(tmp_path / name, *(line(number * 3 + i, f"l{number * 3 + i}") for i in range(3)))
    write(tmp_path / "0.log.tmp", "not a rotated file\n")
    return tmp_path / "0.log"


async def test_rotated_files_are_read_oldest_first(tmp_path: Path) -> None:
    path = rotated(tmp_path)
    assert [p.name for p in log_files(path)] == ["0.log.20260101-000000", "0.log.20260101-000001", "0.log"]
    assert await read(path) == "".join(f"l{i}\n" for i in range(9))


@given(st.integers(0, 12))
def test_a_tail_reaches_over_rotated_files(tmp_path_factory: pytest.TempPathFactory, tail: int) -> None:
    path = rotated(tmp_path_factory.mktemp("logs"))
    found = asyncio.run(read(path, tail=tail))
    assert found == "".join(f"l{i}\n" for i in range(max(0, 9 - tail), 9))


async def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert await read(tmp_path / "0.log") == ""
    assert await read(tmp_path / "0.log", tail=5) == ""


async def test_following_sees_what_is_written_rotated_and_written_again(tmp_path: Path) -> None:
    path = write(tmp_path / "0.log", line(1, "before"))
    ended = asyncio.Event()
    seen: list[str] = []

    async def end() -> None:
        await ended.wait()

    async def follow() -> None:
        async for piece in read_logs(path, LogOptions(), ended=end):
            seen.append(piece.decode())  # noqa: PERF401 (piece by piece is the point)

    following = asyncio.create_task(follow())
    await _until(seen, "before\n")
    with path.open("a") as file:
        file.write(line(2, "live"))
    await _until(seen, "before\nlive\n")
    path.rename(tmp_path / "0.log.20260101-000000")
    write(path, line(3, "after"))
    await _until(seen, "before\nlive\nafter\n")
    with path.open("a") as file:
        file.write(line(4, "last"))
    ended.set()
    await asyncio.wait_for(following, 5)
    assert "".join(seen) == "before\nlive\nafter\nlast\n"


async def _until(seen: list[str], text: str) -> None:
    async with asyncio.timeout(5):
        while "".join(seen) != text:  # noqa: ASYNC110 (what is waited for is what another task has read)
            await asyncio.sleep(0.001)


def test_a_reader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = write(tmp_path / "0.log", line(1, "a"))
    reader = LogReader(path)
    assert len(list(reader.read_lines())) == 1
    assert list(reader.read_lines()) == []
    with path.open("a") as file:
        file.write(line(2, "b") + line(3, "half")[:-1])
    assert len(list(reader.read_lines())) == 1
    with path.open("a") as file:
        file.write("\n")
    assert [parse_line(raw) for raw in reader.read_lines()] == [parse_line(line(3, "half")[:-1].encode())]
    reader.close()


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("since", [None, datetime(2027, 1, 1, tzinfo=UTC)])
@pytest.mark.parametrize(("lines", "text"), [(40_000, b""), (200, b"x" * 16_000)])
async def test_a_flood_leaves_turns_to_others(
    tmp_path: Path, lines: int, text: bytes, since: datetime | None, follow: bool
) -> None:
    """Lines that nobody wants are work too, and so are few that are long."""
    path = tmp_path / "0.log"
    raw = b"2026-01-01T00:00:00.000000000Z stdout F " + text + b"\n"
    path.write_bytes(raw * lines)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def ended() -> None:
        pass

    other = asyncio.create_task(others())
    output = read_logs(path, LogOptions(since=since), ended=ended if follow else None)
    pieces = [piece async for piece in output]
    other.cancel()
    assert all(pieces)
    assert sum(map(len, pieces)) == (0 if since else lines * (len(text) + 1))
    assert turns >= lines * len(raw) // (96 * 1024)


async def test_whoever_stops_following_lets_go_of_the_event_loop_first(tmp_path: Path) -> None:
    """A reader that outlives its descriptor would take the next owner of that number out of the loop."""
    path = tmp_path / "0.log"
    path.write_bytes(b"2026-01-01T00:00:00.000000000Z stdout F one\n")
    forever = asyncio.Event()

    async def ended() -> None:
        await forever.wait()

    output = read_logs(path, LogOptions(), ended=ended)
    assert await anext(output) == b"one\n"
    more = asyncio.ensure_future(anext(output))
    while len(asyncio.all_tasks()) < 4:  # noqa: ASYNC110 - this test, `more`, `ended`, and the wait for a change
        await asyncio.sleep(0)
    more.cancel()
    await asyncio.gather(more, return_exceptions=True)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
