"""Tests on the real kernel, as root: each owns a directory and a word, and leaves nothing that bears either."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import leaks
from tests.helpers.wait import wait_until

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    must_work = os.environ.get("MINIPOD_MUST_WORK") == "1"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.root)
            if os.geteuid() != 0 and not must_work:
                item.add_marker(pytest.mark.skip(reason="needs root: sudo ./scripts/test.sh"))


@pytest.fixture
def word() -> Iterator[str]:
    """A short word no other test has; use it in names of bridges, cgroups, tables. Checked for leaks afterwards."""
    mark = "mpt" + secrets.token_hex(3)
    yield mark
    _check(mark)


@pytest.fixture
def workdir() -> Iterator[Path]:
    """A directory with a short path (unix sockets allow 107 bytes); nothing may use it when the test has ended."""
    path = Path(tempfile.mkdtemp(prefix="mpt", dir="/tmp"))
    path.chmod(0o755)
    yield path
    try:
        _check(str(path))
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _check(mark: str) -> None:
    wait_until(
        lambda: not leaks.all_leaks(mark),
        timeout=5,
        message=lambda: "left behind:\n" + "\n".join(leaks.all_leaks(mark)),
    )
