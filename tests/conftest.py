"""Fixtures and rules for all tests: whoever touches the kernel owns a word and a directory and leaves nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.isolation import unique_directory, unique_word

HERE = Path(__file__).parent
NEED_ROOT = (HERE / "kernel", HERE / "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    must_work = os.environ.get("MINIPOD_MUST_WORK") == "1"
    for item in items:
        if any(folder in item.path.parents for folder in NEED_ROOT):
            item.add_marker(pytest.mark.root)
            if os.geteuid() != 0 and not must_work:
                item.add_marker(pytest.mark.skip(reason="needs root: sudo ./scripts/test.sh"))


@pytest.fixture
def word() -> Iterator[str]:
    """A word for names of bridges, cgroups and tables, this test's own; checked for leaks afterwards."""
    with unique_word() as found:
        yield found


@pytest.fixture
def workdir() -> Iterator[Path]:
    """A directory that is this test's own; nothing may use it when the test has ended."""
    with unique_directory() as found:
        yield found
