"""How much of the disk a directory tree takes that strangers write to meanwhile: volumes, writable layers, logs.

Counted as du(1) does: allocated blocks (st_blocks), directories included, a file with several names once. Nothing in
the tree is trusted. Symlinks are not followed, another file system is not entered, and neither depth nor width nor
number of files costs memory: a directory is read by getdents64(2) in small pieces, and where to go on after a
subdirectory is a number per level. Of files that are deleted and still open nothing is seen.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from minipod.linux import libc

BLOCK = 512
"""Bytes that st_blocks counts in, whatever the file system's own block size."""

HELD_LEVELS = 32
"""Levels whose directory stays open. Below, the way up is `..`, which may have been moved elsewhere meanwhile."""

MAX_LEVELS = 200_000
"""What lies deeper is not counted; 16 bytes are remembered per level."""

MAX_LINKED = 50_000
"""Files with several names that are remembered. Of others each name counts for its part of the file."""

_PIECE = 4096
_HEADER = struct.Struct("=QqHB")
"""struct linux_dirent64 before the name: inode, offset of the next entry, length of this one, type."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_getdents64 = libc.system_call(
    libc.number(x86_64=217, aarch64=61), ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t
)


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """`complete`: False when the walk was cut short; the numbers are then the least there is."""

    bytes: int = 0
    inodes: int = 0
    complete: bool = True


def tree_usage(path: Path, *, stopped: Callable[[], bool] = lambda: False) -> TreeUsage:
    """Measure the directory `path` and all below it; one that is not there takes nothing.

    `stopped` is asked now and then whether to give up: whoever writes to the tree can make the walk last. The directory
    `path` lies in must be trusted. Raises OSError.
    """
    try:
        top = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return TreeUsage()
    return _Walk(top, stopped).run()


class _Walk:
    """One walk over a tree, depth first. It owns `top` and every descriptor it opens."""

    def __init__(self, top: int, stopped: Callable[[], bool]) -> None:
        self._fd = top
        self._stopped = stopped
        found = os.fstat(top)
        self._device = found.st_dev
        self._held: list[int] = []
        self._inodes = array("Q", [found.st_ino])
        """Of the directories from the top to the current one."""
        self._offsets = array("q")
        """Where to go on reading in each of them but the current one."""
        self._piece = ctypes.create_string_buffer(_PIECE)
        self._linked: set[int] = set()
        self._blocks = found.st_blocks
        self._count = 1

    def run(self) -> TreeUsage:
        complete = True
        try:
            while complete:
                if self._stopped():
                    complete = False
                elif not self._read_piece() and not self._up():
                    break
        finally:
            for fd in (self._fd, *self._held):
                os.close(fd)
        return TreeUsage(self._blocks * BLOCK, self._count, complete)

    def _read_piece(self) -> bool:
        """Count the next entries of the current directory, or go down into the first that is one; False: at its end."""
        size = _getdents64(self._fd, self._piece, _PIECE)
        if size <= 0:
            return False  # an error, too: the directory has been removed
        for name, offset in _entries(self._piece.raw[:size]):
            try:
                found = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            except OSError:
                continue  # gone meanwhile
            if not stat.S_ISDIR(found.st_mode):
                self._add(found)
            elif found.st_dev == self._device and self._down(name, offset):
                break
        return True

    def _add(self, found: os.stat_result) -> None:
        blocks = found.st_blocks
        if found.st_nlink > 1:
            if found.st_ino in self._linked:
                return
            if len(self._linked) < MAX_LINKED:
                self._linked.add(found.st_ino)
            else:
                blocks //= found.st_nlink
        self._blocks += blocks
        self._count += 1

    def _down(self, name: bytes, offset: int) -> bool:
        """Make the subdirectory the current one, to go on at `offset` after it. False where that cannot be."""
        if len(self._inodes) >= MAX_LEVELS:
            return False
        try:
            child = os.open(name, _DIRECTORY, dir_fd=self._fd)
        except OSError:
            return False
        found = os.fstat(child)
        if found.st_dev != self._device:
            os.close(child)
            return False
        if len(self._held) < HELD_LEVELS:
            self._held.append(self._fd)
        else:
            os.close(self._fd)
        self._fd = child
        self._inodes.append(found.st_ino)
        self._offsets.append(offset)
        self._blocks += found.st_blocks
        self._count += 1
        return True

    def _up(self) -> bool:
        """Go on in the parent, or if it has been moved in the lowest one that is held. False: this is the top."""
        if not self._offsets:
            return False
        level = len(self._offsets) - 1
        parent = self._held.pop() if level < HELD_LEVELS else self._parent(self._inodes[level])
        if parent is None:
            level = HELD_LEVELS - 1
            parent = self._held.pop()
        os.close(self._fd)
        self._fd = parent
        os.lseek(parent, self._offsets[level], os.SEEK_SET)
        del self._offsets[level:]
        del self._inodes[level + 1 :]
        return True

    def _parent(self, inode: int) -> int | None:
        try:
            fd = os.open("..", _DIRECTORY, dir_fd=self._fd)
        except OSError:
            return None
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) != (self._device, inode):
            os.close(fd)
            return None
        return fd


def _entries(piece: bytes) -> Iterator[tuple[bytes, int]]:
    """Name and offset of the next entry, `.` and `..` left out."""
    at = 0
    while at < len(piece):
        _, offset, length, _ = _HEADER.unpack_from(piece, at)
        name = piece[at + _HEADER.size : at + length].split(b"\0", 1)[0]
        if name not in (b".", b".."):
            yield name, offset
        at += length
