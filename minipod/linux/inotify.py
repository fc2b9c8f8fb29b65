"""inotify(7), as little as a selector loop needs: cgroup.events and memory.events tell of changes as IN_MODIFY."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

from minipod.linux.libc import encode, failed, function

IN_MODIFY = 0x002
IN_CLOSE_WRITE = 0x008
IN_MOVED_TO = 0x080
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_IGNORED = 0x8000

_HEADER = struct.Struct("iIII")
_BUFFER = 64 * 1024

_init1 = function("inotify_init1", ctypes.c_int)
_add_watch = function("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_rm_watch = function("inotify_rm_watch", ctypes.c_int, ctypes.c_int)


def init() -> int:
    """A new inotify descriptor, non-blocking and close-on-exec."""
    fd: int = _init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        failed("inotify_init1")
    return fd


def add_watch(fd: int, path: str | os.PathLike[str], mask: int) -> int:
    """Watch a file or directory; returns the watch descriptor that events carry."""
    watch: int = _add_watch(fd, encode(path), mask)
    if watch < 0:
        failed("inotify_add_watch", os.fspath(path), hex(mask))
    return watch


def remove_watch(fd: int, watch: int) -> None:
    """Stop watching; one last IN_IGNORED event follows."""
    if _rm_watch(fd, watch) < 0:
        failed("inotify_rm_watch", watch)


def read_events(fd: int) -> Iterator[tuple[int, int, str]]:
    """All (watch, mask, name) that have happened; nothing when none has."""
    try:
        data = os.read(fd, _BUFFER)
    except BlockingIOError:
        return
    offset = 0
    while offset < len(data):
        watch, mask, _cookie, length = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size
        yield watch, mask, os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
        offset += length
