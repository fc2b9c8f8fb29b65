from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.runtime.poller import ERROR, HANGUP, READ, Poller

PROJECT = Path(__file__).parents[3]


class Loop(Poller):
    def __init__(self) -> None:
        self.errors: list[Exception] = []
        super().__init__(self.errors.append)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    made = [os.pipe() for _ in range(3)]
    yield made
    for pair in made:
        for fd in pair:
            try:
                os.close(fd)
            except OSError:
                pass


def test_a_handler_hears_of_its_descriptor_only(loop: Loop, pipes: list[tuple[int, int]]) -> None:
    heard: list[int] = []
    loop.watch(pipes[0][0], lambda _e: (heard.append(0), loop.stop()))  # type: ignore[func-returns-value, arg-type, return-value]
    loop.watch(pipes[1][0], lambda _e: heard.append(1))
    os.write(pipes[0][1], b"x")
    loop.run()
    assert heard == [0]


def test_what_was_forgotten_in_the_same_round_is_not_called(
    loop: Loop, pipes: list[tuple[int, int]]
) -> None:
    heard: list[int] = []

    def first(mine: int, other: int) -> None:
        heard.append(mine)
        loop.forget(other)
        os.close(other)
        # The number is used again at once, for something with other news.
        again = os.dup(pipes[2][0])
        assert again == other
        loop.watch(again, lambda _e: heard.append(-1))
        loop.forget(mine)
        loop.call_later(0, loop.stop)

    a, b = pipes[0][0], pipes[1][0]
    loop.watch(a, lambda _e: first(a, b))
    loop.watch(b, lambda _e: first(b, a))
    for pair in pipes[:2]:
        os.write(pair[1], b"x")
    loop.run()
    assert len(heard) == 1


def test_a_handler_that_fails_loses_its_descriptor_and_nothing_else(
    loop: Loop, pipes: list[tuple[int, int]]
) -> None:
    calls = []

    def fail(_events: int) -> None:
        calls.append("fail")
        raise ValueError("bug")

    loop.watch(pipes[0][0], fail)
    os.write(pipes[0][1], b"x")
    loop.call_later(0.02, loop.stop)
    loop.run()
    assert calls == ["fail"]
    assert [str(e) for e in loop.errors] == ["bug"]


def test_timers_run_in_order_and_cancelled_ones_do_not(loop: Loop) -> None:
    heard: list[str] = []
    loop.call_later(0.002, lambda: heard.append("second"))
    loop.call_later(0.001, lambda: heard.append("first"))
    loop.call_later(0.0015, lambda: heard.append("never")).cancel()
    loop.call_later(0.003, loop.stop)
    loop.call_later(0.0025, lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    loop.run()
    assert heard == ["first", "second"]
    assert isinstance(loop.errors[0], ZeroDivisionError)


def test_a_hangup_is_heard_without_asking(loop: Loop, pipes: list[tuple[int, int]]) -> None:
    heard: list[int] = []

    def note(events: int) -> None:
        heard.append(events)
        loop.stop()

    loop.watch(pipes[0][1], note, ERROR)
    os.close(pipes[0][0])
    loop.run()
    assert heard[0] & (HANGUP | ERROR)
    assert not heard[0] & READ


def test_ended_children_are_reaped(loop: Loop) -> None:
    old = signal.getsignal(signal.SIGCHLD)
    ended: list[int] = []

    def reap() -> None:
        try:
            pid, _ = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            ended.append(pid)
            loop.stop()

    loop.watch_children(reap)
    child = os.posix_spawn("/bin/true", ["true"], {})
    try:
        loop.run()
    finally:
        signal.signal(signal.SIGCHLD, old)
    assert ended == [child]


def test_the_rehearsal_ends_well_and_leaves_nothing(tmp_path: Path) -> None:
    """In a bare interpreter, as the spawner is: single-threaded, standard library only, not root."""
    code = f"""
import os, sys, time
sys.path.insert(0, {str(PROJECT)!r})
from pathlib import Path
from minipod.runtime.rehearsal import rehearse
fds = sorted(os.listdir("/proc/self/fd"))
began = time.monotonic()
rehearse(Path({str(tmp_path / "scratch")!r}))
assert time.monotonic() - began < 4, "a line was waited for in vain"
assert sorted(os.listdir("/proc/self/fd")) == fds
try:
    os.waitpid(-1, os.WNOHANG)
    raise SystemExit("a child is left")
except ChildProcessError:
    pass
foreign = [m for m in sys.modules if m.split(".")[0] not in sys.stdlib_module_names | {{"minipod", "__main__"}}]
assert not foreign, foreign
assert "asyncio" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
