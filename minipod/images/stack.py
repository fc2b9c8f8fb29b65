"""Unpacked layers seen as one tree, without mounting them: overlayfs' rules for looking names up.

The layers' content is hostile, their structure is ours: only real directories are entered, links are followed inside
the image only, whiteouts (character device 0/0) and opaque directories (trusted.overlay.opaque=y) hide what is below.
https://docs.kernel.org/filesystems/overlayfs.html
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minipod.images.layer_paths import Parts, split_link

OPAQUE_XATTR = "trusted.overlay.opaque"
LINKS_MAX = 40
"""Symbolic links followed in one look-up, as the kernel has it (path_resolution(7))."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for: where it lies, and what it is."""

    path: bytes
    stat: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.stat.st_mode)

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.stat.st_mode)


class LayerStack:
    """Layers, uppermost first."""

    def __init__(self, layers: Sequence[Path]) -> None:
        self._roots = [os.fsencode(layer) for layer in layers]

    def lookup(self, parts: Parts) -> Found | None:
        """What the path names, links not followed; None when it is not there or hidden."""
        found = self.top()
        for part in parts:
            found = step(found, part)
        return found[0] if found else None

    def resolve(self, parts: Parts, *, start: Parts = (), clamp: bool = True) -> tuple[Parts, Found] | None:
        """Follow a path, links too, from the directory `start` (itself without links): where it leads, what is there.

        None when it leads nowhere. ".." in the root stays there, or leads nowhere when `clamp` is off. Raises
        OSError(ELOOP) after too many links.
        """
        done: list[bytes] = []
        levels = [self.top()]
        todo = [*reversed(parts), *reversed(start)]
        links = 0
        while todo:
            part = todo.pop()
            if part == b"..":
                if done:
                    done.pop()
                    levels.pop()
                elif not clamp:
                    return None
                continue
            found = step(levels[-1], part)
            if not found:
                return None
            if not found[0].is_symlink:
                done.append(part)
                levels.append(found)
                continue
            links += 1
            if links > LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(b"/".join(parts)))
            target = os.readlink(found[0].path)
            if target.startswith(b"/"):
                done.clear()
                del levels[1:]
            todo += reversed(split_link(target))
        return (tuple(done), levels[-1][0]) if levels[-1] else None

    def top(self) -> list[Found]:
        """The root directories: what step() starts from."""
        return [Found(root, os.lstat(root)) for root in self._roots]

    def read_file(self, parts: Parts, limit: int) -> bytes | None:
        """A file's content; None when there is no regular file there.

        Raises OSError(EFBIG) when it has more than `limit` bytes, OSError(ELOOP) as resolve does.
        """
        resolved = self.resolve(parts)
        if resolved is None or not stat.S_ISREG(resolved[1].stat.st_mode):
            return None
        found = resolved[1]
        if found.stat.st_size > limit:
            raise OSError(errno.EFBIG, f"more than {limit} bytes", os.fsdecode(b"/".join(parts)))
        fd = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            return file.read(limit)


def is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: bytes | int) -> bool:
    try:
        return os.getxattr(path, OPAQUE_XATTR) == b"y"
    except OSError:
        return False


def step(parents: Sequence[Found], part: bytes) -> list[Found]:
    """From the directories that make up one name (uppermost first) to those of the next, or to what is no directory."""
    found: list[Found] = []
    for parent in parents:
        if not parent.is_directory:
            break
        path = parent.path + b"/" + part
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        if is_whiteout(status):
            break
        if not stat.S_ISDIR(status.st_mode):
            return found or [Found(path, status)]
        found.append(Found(path, status))
        if is_opaque(path):
            break
    return found


def names(directories: Sequence[Found]) -> list[bytes]:
    """What the directories of one name list together, hidden names left out."""
    candidates = {os.fsencode(name) for d in directories for name in os.listdir(d.path)}
    return sorted(name for name in candidates if step(directories, name))
