"""A word and a directory that are a test's own, and the proof that nothing bears them afterwards."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.helpers import leaks
from tests.helpers.wait import wait_until


@contextlib.contextmanager
def unique_word() -> Iterator[str]:
    """A short word nobody else has; short enough for a network interface's name."""
    word = "mpt" + secrets.token_hex(3)
    yield word
    assert_nothing_left(word)


@contextlib.contextmanager
def unique_directory() -> Iterator[Path]:
    """A directory with a short path (a unix socket's may have 107 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="mpt", dir="/tmp"))
    path.chmod(0o755)
    try:
        yield path
        assert_nothing_left(str(path))
    finally:
        shutil.rmtree(path, ignore_errors=True)


def assert_nothing_left(mark: str) -> None:
    """No process, mount, cgroup, link or nft table bears the mark (what is dying has five seconds)."""
    wait_until(
        lambda: not leaks.all_leaks(mark),
        timeout=5,
        message=lambda: "left behind:\n" + "\n".join(leaks.all_leaks(mark)),
    )
