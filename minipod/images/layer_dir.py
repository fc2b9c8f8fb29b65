"""Finding one's way inside a layer that is being unpacked: from an entry's name to an open directory.

Every step is made from an open directory, one name at a time, without following links; a link on the way is read and
followed by us, inside the image, and only to a directory the image has. Directories that an entry implies but the
archive does not list are made as copies of the layer's below, where it has them, else they would hide its modes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minipod.images.errors import InvalidImageError, UnsafeLayerError
from minipod.images.layer_paths import Parts, check_path, split_link
from minipod.images.stack import OPAQUE_XATTR, Found, LayerStack, is_opaque, is_whiteout, step
from minipod.images.tar_header import printable

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_IMPLIED_MODE = 0o755


@dataclass(slots=True)
class OpenDirectory:
    """A directory of the layer, open. `name` is how the entries call it, `path` where it really is."""

    name: bytes
    fd: int
    path: Parts
    parent: OpenDirectory | None = None
    _below: list[Found] | None = None

    def below(self) -> list[Found]:
        """The directories of the layers below that this one is seen merged with, uppermost first."""
        if self._below is None:
            assert self.parent is not None
            self._below = [] if is_opaque(self.fd) else step(self.parent.below(), self.name)
        return self._below

    def make_opaque(self) -> None:
        """Let it hide the same directory of all layers below."""
        os.setxattr(self.fd, OPAQUE_XATTR, b"y")
        self._below = []


@dataclass(slots=True)
class DirectoryTimes:
    """What a directory gets when everything is in it: writing below it would change its time, or need its mode."""

    mode: int
    mtime_ns: int


class NoDirectoryError(InvalidImageError):
    """A path leads through something that is not there, is hidden, or is no directory."""


class LayerDirectory:
    """The directory of a layer in the making; `lower` are the finished layers below, uppermost first. Close it."""

    def __init__(self, root: Path, lower: Sequence[Path]) -> None:
        self._merged = LayerStack([root, *lower])
        top = OpenDirectory(b"", os.open(root, _OPEN_DIRECTORY), (), None, LayerStack(lower).top())
        self._open = [top]
        self._stale = False
        self.pending: dict[Parts, DirectoryTimes] = {}
        self._hollow: set[Parts] = set()
        """Directories made to put whiteouts in: nothing of the layer's own is in them."""
        self._imply(top.fd, (), top.below())

    def close(self) -> None:
        self._drop_to(0)

    def finish(self) -> None:
        """Give all directories their modes and times, deepest first."""
        for path in sorted(self.pending, reverse=True):
            try:
                fd = self._open_real(path)
            except (FileNotFoundError, NotADirectoryError):
                continue  # replaced by a later entry
            try:
                os.fchmod(fd, self.pending[path].mode)
                os.utime(fd, ns=(self.pending[path].mtime_ns,) * 2)
            finally:
                os.close(fd)

    def enter(self, parts: Parts, *, create: bool) -> OpenDirectory:
        """The directory that `parts` name, open until the next call. With `create` it is made when nobody has it.

        Raises UnsafeLayerError when the way leads out of the image, NoDirectoryError when there is no way.
        """
        if self._stale:
            self._drop_to(1)
            self._stale = False
        common = 0
        while common < min(len(parts), len(self._open) - 1) and self._open[common + 1].name == parts[common]:
            common += 1
        self._drop_to(common + 1)
        for part in parts[common:]:
            self._open.append(self._child(self._open[-1], part, create=create))
        found = self._open[-1]
        if create:
            self.fill(found.path)
        return found

    def forget(self) -> None:
        """A directory or link was replaced: what is held open may no longer be where its name leads."""
        self._stale = True

    def fill(self, path: Parts) -> None:
        """The directory, and those above it, are not there for whiteouts only."""
        if self._hollow:
            self._hollow.difference_update(path[:depth] for depth in range(1, len(path) + 1))

    def is_hollow(self, path: Parts) -> bool:
        """Of a path that is a directory."""
        return path in self._hollow

    def make_opaque(self, directory: OpenDirectory) -> None:
        """Let it hide the same directory of all layers below, and drop what was there to hide parts of it."""
        directory.make_opaque()
        self._drop_whiteouts(directory.fd, directory.path)
        self._stale = True

    def _drop_whiteouts(self, fd: int, path: Parts) -> None:
        """In a directory that is merged with none below, overlayfs would list them."""
        for name in map(os.fsencode, os.listdir(fd)):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if is_whiteout(status):
                os.unlink(name, dir_fd=fd)
            elif not stat.S_ISDIR(status.st_mode):
                continue
            elif self.is_hollow((*path, name)):
                remove_tree(name, fd)
            else:
                child = os.open(name, _OPEN_DIRECTORY, dir_fd=fd)
                try:
                    self._drop_whiteouts(child, (*path, name))
                finally:
                    os.close(child)

    def _child(self, parent: OpenDirectory, part: bytes, *, create: bool) -> OpenDirectory:
        path = (*parent.path, part)
        status = lstat(part, parent.fd)
        if status is not None and is_whiteout(status) and create:
            os.unlink(part, dir_fd=parent.fd)
            child = OpenDirectory(part, self._make(parent.fd, path, []), path, parent)
            child.make_opaque()
            return child
        if status is None:
            below = step(parent.below(), part)
            if not below and not create:
                raise NoDirectoryError(f"no directory {printable(b'/'.join(path))} in the image")
            if not below or below[0].is_directory:
                if not create:
                    self._hollow.add(path)
                return OpenDirectory(part, self._make(parent.fd, path, below), path, parent, below)
            target = os.readlink(below[0].path) if below[0].is_symlink else None
        elif stat.S_ISDIR(status.st_mode):
            return OpenDirectory(part, os.open(part, _OPEN_DIRECTORY, dir_fd=parent.fd), path, parent)
        else:
            target = os.readlink(part, dir_fd=parent.fd) if stat.S_ISLNK(status.st_mode) else None
        if target is None:
            raise NoDirectoryError(f"its parent {printable(b'/'.join(path))} is no directory")
        return self._follow(parent.path, part, target)

    def _follow(self, start: Parts, name: bytes, target: bytes) -> OpenDirectory:
        """The directory a link leads to; it must be one the image has."""
        real = self._real_path(start, target)
        if real is None:
            link = printable(b"/".join((*start, name)))
            raise UnsafeLayerError(f"goes through the link {link} to {printable(target)}, out of the layer")
        fd, below = os.dup(self._open[0].fd), self._open[0].below()
        try:
            for depth, part in enumerate(real, 1):
                below = step(below, part)
                if lstat(part, fd) is None:
                    child = self._make(fd, real[:depth], below)
                    self._hollow.add(real[:depth])
                else:
                    child = os.open(part, _OPEN_DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = child
                below = [] if is_opaque(fd) else below
        except BaseException:
            os.close(fd)
            raise
        return OpenDirectory(name, fd, real, None, below)

    def _real_path(self, start: Parts, target: bytes) -> Parts | None:
        """Where a link leads inside the image; None when it climbs out, or to nothing that is a directory."""
        if target.startswith(b"/"):
            start = ()
        try:
            resolved = self._merged.resolve(split_link(target), start=start, clamp=False)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            raise
        return resolved[0] if resolved and resolved[1].is_directory else None

    def _make(self, parent_fd: int, path: Parts, below: Sequence[Found]) -> int:
        check_path(path)
        os.mkdir(path[-1], 0o700, dir_fd=parent_fd)
        fd = os.open(path[-1], _OPEN_DIRECTORY, dir_fd=parent_fd)
        try:
            self._imply(fd, path, below)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _imply(self, fd: int, path: Parts, below: Sequence[Found]) -> None:
        """Make a directory that the archive does not list look like the one it would otherwise hide."""
        if not below:
            self.pending[path] = DirectoryTimes(_IMPLIED_MODE, 0)
            return
        model = below[0]
        change_owner(fd, model.stat.st_uid, model.stat.st_gid)
        for name in os.listxattr(model.path, follow_symlinks=False):
            if name != OPAQUE_XATTR:
                os.setxattr(fd, name, os.getxattr(model.path, name, follow_symlinks=False))
        self.pending[path] = DirectoryTimes(stat.S_IMODE(model.stat.st_mode), model.stat.st_mtime_ns)

    def _open_real(self, path: Parts) -> int:
        fd = os.dup(self._open[0].fd)
        for part in path:
            try:
                child = os.open(part, _OPEN_DIRECTORY, dir_fd=fd)
            finally:
                os.close(fd)
            fd = child
        return fd

    def _drop_to(self, count: int) -> None:
        while len(self._open) > count:
            os.close(self._open.pop().fd)


def lstat(name: bytes, dir_fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def change_owner(fd: int, uid: int, gid: int) -> None:
    """chown, unless it is so already: giving oneself what one has needs no privilege."""
    status = os.fstat(fd)
    if (status.st_uid, status.st_gid) != (uid, gid):
        os.chown(fd, uid, gid)


def remove_tree(name: bytes, dir_fd: int) -> None:
    """Remove a directory with all below it; layers are not deep (DEPTH_MAX)."""
    fd = os.open(name, _OPEN_DIRECTORY, dir_fd=dir_fd)
    try:
        with os.scandir(fd) as entries:
            children = [(os.fsencode(e.name), e.is_dir(follow_symlinks=False)) for e in entries]
        for child, is_directory in children:
            if is_directory:
                remove_tree(child, fd)
            else:
                os.unlink(child, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=dir_fd)
