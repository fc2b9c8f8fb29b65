"""The end of a CRI log, from its newest file backwards: never more than asked for, whatever a container has written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from minipod.kubelet.server.logs import log_files


def log_ends(path: Path, limit: int) -> Iterator[tuple[list[bytes], bool]]:
    """For each file of the log at `path`, the newest first: its last whole lines as they are, and whether it has more.

    Reads `limit` bytes of a file when its turn comes. Raises OSError.
    """
    for file in reversed(log_files(path)):
        data, cut = end_of_file(file, limit)
        yield data.removesuffix(b"\n").split(b"\n")[1 if cut else 0 :], cut


def end_of_file(path: Path, limit: int) -> tuple[bytes, bool]:
    """The last bytes of a regular file, and whether there are others before them. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "not a regular file", os.fspath(path))
        start = max(found.st_size - limit, 0)
        return os.pread(fd, limit, start), start > 0
    finally:
        os.close(fd)
