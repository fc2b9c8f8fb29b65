"""syncfs(2): a whole file system to its disk, when very many small files have to be there before one name says so."""

from __future__ import annotations

import ctypes

from minipod.linux.libc import failed, function

_syncfs = function("syncfs", ctypes.c_int)


def syncfs(fd: int) -> None:
    """Write the file system that `fd` lies on to its disk. Raises OSError when some of it could not be written."""
    if _syncfs(fd) < 0:
        failed("syncfs", fd)
