"""Remove a directory tree that strangers have written: volumes and writable layers of containers that have ended.

Nothing in it is trusted: symlinks are removed, never followed; depth and width cost no memory and no descriptors; a
file system mounted in it is not entered; the immutable and append-only flags (ioctl_iflags(2)) are taken off.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

MAX_DEPTH = 32
"""Directories below this are moved up to the top and emptied there, so that any depth needs few descriptors."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_IMMUTABLE_OR_APPEND = 0x10 | 0x20


def remove_tree(path: Path) -> None:
    """Remove `path` and all below it; a path that is not there is fine, a symlink is itself removed.

    The directory `path` lies in must be trusted. Raises OSError, EXDEV when a file system is mounted inside.
    """
    try:
        empty_tree(path)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(path)
        return
    parent = os.open(path.parent, _DIRECTORY)
    try:
        _retry_unlocked(lambda: os.rmdir(path.name, dir_fd=parent), parent, path.name)
    finally:
        os.close(parent)


def empty_tree(path: Path) -> None:
    """Remove all that is in the directory `path`, which stays. Raises as remove_tree does."""
    top = os.open(path, _DIRECTORY)
    try:
        _Emptier(top, path).run()
    finally:
        os.close(top)


class _Emptier:
    """Empties one directory, known by its descriptor."""

    def __init__(self, top: int, path: Path) -> None:
        self._top = top
        self._path = path
        self._device = os.fstat(top).st_dev
        self._number = 0

    def run(self) -> None:
        # What was moved up while the top was read may have been missed: look again until nothing is left.
        while self._empty(self._top, 0):
            pass

    def _empty(self, fd: int, depth: int) -> int:
        """Remove what is in the directory; returns how many entries there were."""
        count = 0
        with os.scandir(fd) as entries:
            for entry in entries:
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    self._remove_directory(fd, entry.name, depth)
                else:
                    self._unlink(fd, entry.name)
        return count

    def _unlink(self, fd: int, name: str) -> None:
        _retry_unlocked(lambda: os.unlink(name, dir_fd=fd), fd, name)

    def _remove_directory(self, fd: int, name: str, depth: int) -> None:
        if depth >= MAX_DEPTH:
            self._move_up(fd, name)
            return
        child = os.open(name, _DIRECTORY, dir_fd=fd)
        try:
            if os.fstat(child).st_dev != self._device:
                raise OSError(
                    errno.EXDEV, f"a file system is mounted at {name!r}: not entered", str(self._path)
                )
            while self._empty(child, depth + 1):
                pass
        finally:
            os.close(child)
        _retry_unlocked(lambda: os.rmdir(name, dir_fd=fd), fd, name)

    def _move_up(self, fd: int, name: str) -> None:
        while True:
            self._number += 1
            try:
                self._rename_to_top(fd, name, f".minipod-{self._number}")
                return
            except OSError as error:
                # The name is taken; whoever took it cannot have taken all of them.
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR):
                    raise

    def _rename_to_top(self, fd: int, name: str, fresh: str) -> None:
        _retry_unlocked(lambda: os.rename(name, fresh, src_dir_fd=fd, dst_dir_fd=self._top), fd, name)


def _retry_unlocked(action: Callable[[], None], directory: int, name: str) -> None:
    """Run `action` on the entry; when flags forbid it, take them off entry and directory, and run it again."""
    try:
        action()
    except FileNotFoundError:
        pass
    except PermissionError:
        _unlock(directory)
        _unlock_entry(directory, name)
        action()


def _unlock_entry(directory: int, name: str) -> None:
    """Only regular files and directories have flags; nothing else is opened (a device or FIFO could do anything)."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            fd = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _unlock(fd)
            finally:
                os.close(fd)
    finally:
        os.close(handle)


def _unlock(fd: int) -> None:
    try:
        (flags,) = struct.unpack("l", fcntl.ioctl(fd, _FS_IOC_GETFLAGS, struct.pack("l", 0)))
        if flags & _IMMUTABLE_OR_APPEND:
            fcntl.ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("l", flags & ~_IMMUTABLE_OR_APPEND))
    except OSError:
        return  # a file system without flags: the first error stands
