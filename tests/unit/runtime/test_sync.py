"""What a child says arrives whole, in order, and ends with end of file."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from minipod.runtime import sync
from minipod.runtime.sync import ConsoleReady, StartWarning
from minipod.runtime.types import StartFailure


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    parent, child = sync.channel()
    yield parent, child
    sync.close(parent)
    sync.close(child)


def test_events_arrive_in_order_and_the_end_is_none(ends: tuple[int, int]) -> None:
    parent, child = ends
    failure = StartFailure(stage="exec", errno=2, operand="/x", message="exec /x: no such file or directory")
    sync.send_warning(child, "careful")
    sync.send_failure(child, failure)
    sync.close(child)
    assert sync.receive(parent) == StartWarning("careful")
    assert sync.receive(parent) == failure
    assert sync.receive(parent) is None


def test_nothing_yet_is_not_the_end(ends: tuple[int, int]) -> None:
    with pytest.raises(BlockingIOError):
        sync.receive(ends[0])


def test_a_console_comes_with_its_descriptor(ends: tuple[int, int]) -> None:
    parent, child = ends
    read, write = os.pipe()
    sync.send_console(child, write)
    os.close(write)
    event = sync.receive(parent)
    assert isinstance(event, ConsoleReady)
    assert not os.get_inheritable(event.master)
    os.write(event.master, b"through")
    assert os.read(read, 10) == b"through"
    os.close(event.master)
    os.close(read)


def test_texts_of_any_length_fit_a_packet(ends: tuple[int, int]) -> None:
    parent, child = ends
    sync.send_failure(
        child, StartFailure(stage="exec", errno=7, operand="\udcff" * 99999, message="é" * 99999)
    )
    event = sync.receive(parent)
    assert isinstance(event, StartFailure)
    assert event.errno == 7


def test_an_unknown_kind_is_a_failure_not_a_crash(ends: tuple[int, int]) -> None:
    parent, child = ends
    os.write(child, b'{"type": "poem"}')
    event = sync.receive(parent)
    assert isinstance(event, StartFailure)
    assert event.operand == "poem"


def test_both_ends_close_on_exec(ends: tuple[int, int]) -> None:
    assert not any(map(os.get_inheritable, ends))


def test_a_word_to_go_on_that_comes_too_late_does_not_hide_the_failure(ends: tuple[int, int]) -> None:
    """A socket closed with unread data resets the other end, ahead of what was sent before."""
    parent, child = ends
    failure = StartFailure(stage="cwd", errno=2, operand="/x", message="x")
    sync.send_failure(child, failure)
    sync.proceed(parent)
    sync.close(child)
    assert sync.receive(parent) == failure
    assert sync.receive(parent) is None


def test_going_on_reaches_a_child_and_a_parent_that_is_gone_does_not(ends: tuple[int, int]) -> None:
    parent, child = ends
    sync.proceed(parent)
    assert sync.wait_until_told(child)
    sync.close(parent)
    assert not sync.wait_until_told(child)


def test_a_child_that_is_gone_does_not_mind_being_told(ends: tuple[int, int]) -> None:
    parent, child = ends
    sync.close(child)
    sync.proceed(parent)
    assert sync.receive(parent) is None
