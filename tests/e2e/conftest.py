"""Whole daemons: `node` is shared by the tests of one module, `own_node` makes daemons for one test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.daemon import Daemon, running
from tests.helpers.isolation import unique_directory, unique_word


@pytest.fixture(scope="module")
def node() -> Iterator[Daemon]:
    """A daemon with the base image and a short crash-loop back-off. Tests use pod names of their own."""
    with (
        unique_word() as word,
        unique_directory() as workdir,
        running(
            workdir,
            word,
            crash_loop_initial="200ms",
            crash_loop_maximum="1s",
            cgroup_enforcement="best-effort",
        ) as daemon,
    ):
        yield daemon


@pytest.fixture
def own_node(word: str, workdir: Path) -> Iterator[Callable[..., Daemon]]:
    """Makes a daemon that this test may kill and restart; keywords are daemon flags."""
    with contextlib.ExitStack() as stack:
        yield lambda **flags: stack.enter_context(running(workdir, word, **flags))
