"""Writing one layer: tar entries become files, directories, nodes and overlayfs' whiteouts.

Owners, modes, times, xattrs and device nodes are kept as containerd keeps them. Nothing is written that is not below
the layer's root: layer_dir.py finds the way, everything here works on the open directory it gives.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minipod.images.compression import CHUNK
from minipod.images.errors import ImageError, InvalidImageError, UnsafeLayerError
from minipod.images.layer_dir import (
    DirectoryTimes,
    LayerDirectory,
    NoDirectoryError,
    OpenDirectory,
    change_owner,
    lstat,
    remove_tree,
)
from minipod.images.layer_paths import (
    OPAQUE_MARKER,
    WHITEOUT_META_PREFIX,
    WHITEOUT_PREFIX,
    Parts,
    check_path,
    split_name,
)
from minipod.images.stack import OPAQUE_XATTR, is_whiteout, names, step
from minipod.images.tar import TarReader
from minipod.images.tar_header import EntryType, TarEntry, printable

log = logging.getLogger(__name__)

STORE_ERRNOS = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
)
"""Failures of our machine rather than of what we were given."""
_OWNER_MAX = 2**32 - 2
_TIME_MAX_NS = 2**33 * 10**9
_OVERLAY_XATTRS = (b"trusted.overlay.", b"user.overlay.")
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLimits:
    """How much of a layer is believed: plain bytes of its tar, size of its files with holes, number of entries."""

    bytes: int = 64 * 1024**3
    entries: int = 2_000_000


class LayerWriter:
    """Turns entries into files. `directory` is where; it is to be finished and closed by the caller."""

    def __init__(self, root: Path, lower: Sequence[Path], reader: TarReader, limits: LayerLimits) -> None:
        self.directory = LayerDirectory(root, lower)
        self.limits = limits
        self.size = 0
        self.entries = 0
        self._claimed = 0
        self._reader = reader
        self._xattr_unsupported = False

    def add(self, entry: TarEntry) -> None:
        """Raises InvalidImageError that names the entry."""
        try:
            self._count(entry)
            parts = split_name(entry.name)
            if not parts:
                self._root(entry)
            elif parts[-1].startswith(WHITEOUT_PREFIX):
                self._whiteout_entry(parts)
            else:
                self._create(entry, parts)
        except OSError as error:
            if error.errno in STORE_ERRNOS:
                raise
            raise InvalidImageError(f"entry {printable(entry.name)}: {error.strerror}") from error
        except ImageError as error:
            raise type(error)(f"entry {printable(entry.name)}: {error}") from error

    def _count(self, entry: TarEntry) -> None:
        self.entries += 1
        self._claimed += entry.size
        self.size += sum(length for _, length in entry.extents)
        if self.entries > self.limits.entries:
            raise InvalidImageError(f"the layer has more than {self.limits.entries} entries")
        if self._claimed > self.limits.bytes:
            raise InvalidImageError(f"the layer's files have more than {self.limits.bytes} bytes")
        if entry.uid > _OWNER_MAX or entry.gid > _OWNER_MAX:
            raise InvalidImageError(f"its owner {entry.uid}:{entry.gid} is beyond {_OWNER_MAX}")

    def _root(self, entry: TarEntry) -> None:
        if entry.type is not EntryType.DIRECTORY:
            raise UnsafeLayerError(f"a {entry.type.name.lower()} in place of the layer's root")
        self._dress_directory(self.directory.enter((), create=False).fd, (), entry)

    # -- whiteouts -----------------------------------------------------------------------------------------------

    def _whiteout_entry(self, parts: Parts) -> None:
        *parent, base = parts
        name = base.removeprefix(WHITEOUT_PREFIX)
        if name in (b"", b".", b".."):
            raise UnsafeLayerError("a whiteout without a name")
        try:
            if base == OPAQUE_MARKER:
                self._opaque(tuple(parent))
            elif not base.startswith(
                WHITEOUT_META_PREFIX
            ):  # others are aufs' bookkeeping, no part of the image
                self._whiteout((*parent, name))
        except NoDirectoryError:
            pass  # its directory is gone itself: builders list what was in it nevertheless

    def _opaque(self, parts: Parts) -> None:
        directory = self.directory.enter(parts, create=False)
        if directory.path:
            self.directory.make_opaque(directory)
            return
        for name in names(directory.below()):  # overlayfs does not look for the mark on a layer's root
            self._whiteout((name,))

    def _whiteout(self, parts: Parts) -> None:
        """Hide a name of the layers below; what this layer itself has of that name stays."""
        parent = self.directory.enter(parts[:-1], create=False)
        base = parts[-1]
        if not step(parent.below(), base):
            return  # a whiteout of nothing would show up in listings
        status = lstat(base, parent.fd)
        is_directory = status is not None and stat.S_ISDIR(status.st_mode)
        if is_directory and self.directory.is_hollow((*parent.path, base)):
            remove_tree(base, parent.fd)
            self.directory.forget()
            status = None
        if status is None:
            os.mknod(base, stat.S_IFCHR, 0, dir_fd=parent.fd)
        elif is_directory:
            self.directory.make_opaque(self.directory.enter((*parts[:-1], base), create=False))

    # -- files ---------------------------------------------------------------------------------------------------

    def _create(self, entry: TarEntry, parts: Parts) -> None:
        if entry.type is EntryType.HARDLINK:
            self._hardlink(entry, parts)
            return
        parent = self._parent(parts)
        hides = self._clear(parent.fd, parts[-1], entry.type)
        if entry.type is EntryType.DIRECTORY:
            self._make_directory(entry, parent.fd, (*parent.path, parts[-1]), hides=hides)
        elif entry.type is EntryType.FILE:
            self._make_file(entry, parent.fd, parts[-1])
        else:
            self._make_node(entry, parent.fd, parts[-1])
            self._dress(entry, parent.fd, parts[-1])

    def _parent(self, parts: Parts) -> OpenDirectory:
        parent = self.directory.enter(parts[:-1], create=True)
        if parent.path != parts[:-1]:  # reached by a link: the real path may be longer than the name
            check_path((*parent.path, parts[-1]))
        return parent

    def _clear(self, parent_fd: int, base: bytes, kind: EntryType) -> bool:
        """Remove what the entry replaces, unless it is a directory and stays one. True when it was a whiteout."""
        status = lstat(base, parent_fd)
        if status is None or (stat.S_ISDIR(status.st_mode) and kind is EntryType.DIRECTORY):
            return False
        if stat.S_ISDIR(status.st_mode):
            remove_tree(base, parent_fd)
        else:
            os.unlink(base, dir_fd=parent_fd)
        if not stat.S_ISREG(status.st_mode):
            self.directory.forget()
        return is_whiteout(status)

    def _make_directory(self, entry: TarEntry, parent_fd: int, path: Parts, *, hides: bool) -> None:
        try:
            os.mkdir(path[-1], 0o700, dir_fd=parent_fd)
        except FileExistsError:
            pass  # _clear left only a directory
        fd = os.open(path[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)
        try:
            if hides:
                os.setxattr(fd, OPAQUE_XATTR, b"y")
            self._dress_directory(fd, path, entry)
        finally:
            os.close(fd)

    def _dress_directory(self, fd: int, path: Parts, entry: TarEntry) -> None:
        change_owner(fd, entry.uid, entry.gid)
        self._set_xattrs(fd, entry.xattrs)
        self.directory.fill(path)
        self.directory.pending[path] = DirectoryTimes(entry.mode, _bounded_time(entry.mtime_ns))

    def _make_file(self, entry: TarEntry, parent_fd: int, base: bytes) -> None:
        fd = os.open(base, _NEW_FILE, 0o600, dir_fd=parent_fd)
        with open(fd, "wb", buffering=0) as file:
            for offset, length in entry.extents:
                file.seek(offset)
                while length:
                    data = self._reader.read(min(length, CHUNK))
                    written = memoryview(data)
                    while written:
                        written = written[file.write(written) :]
                    length -= len(data)
            if (sum(entry.extents[-1]) if entry.extents else 0) < entry.size:
                file.truncate(entry.size)  # a hole at the end
            # chown drops setuid bits and capabilities, so it comes before both.
            change_owner(fd, entry.uid, entry.gid)
            self._set_xattrs(fd, entry.xattrs)
            os.fchmod(fd, entry.mode)
            os.utime(fd, ns=(_bounded_time(entry.mtime_ns),) * 2)

    def _make_node(self, entry: TarEntry, parent_fd: int, base: bytes) -> None:
        match entry.type:
            case EntryType.SYMLINK:
                if not entry.link or b"\0" in entry.link:
                    raise InvalidImageError("a symbolic link without a target")
                os.symlink(entry.link, base, dir_fd=parent_fd)
            case EntryType.FIFO:
                os.mkfifo(base, 0o600, dir_fd=parent_fd)
            case EntryType.CHARACTER | EntryType.BLOCK:
                kind = stat.S_IFCHR if entry.type is EntryType.CHARACTER else stat.S_IFBLK
                os.mknod(base, kind | 0o600, _device(entry), dir_fd=parent_fd)
            case _:
                raise AssertionError(entry.type)

    def _dress(self, entry: TarEntry, parent_fd: int, base: bytes) -> None:
        """Owner, xattrs, mode and time of what cannot be opened."""
        status = os.stat(base, dir_fd=parent_fd, follow_symlinks=False)
        if (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
            os.chown(base, entry.uid, entry.gid, dir_fd=parent_fd, follow_symlinks=False)
        if entry.xattrs:
            self._set_xattrs(b"/proc/self/fd/%d/%s" % (parent_fd, base), entry.xattrs)
        if entry.type is not EntryType.SYMLINK:
            os.chmod(base, entry.mode, dir_fd=parent_fd)
        os.utime(base, ns=(_bounded_time(entry.mtime_ns),) * 2, dir_fd=parent_fd, follow_symlinks=False)

    def _hardlink(self, entry: TarEntry, parts: Parts) -> None:
        """Both names end up with the one file, whose owner and mode came with its first name."""
        missing = InvalidImageError(f"a hard link to {printable(entry.link)}, which the layer does not have")
        try:
            target = split_name(entry.link)
        except UnsafeLayerError as error:
            raise UnsafeLayerError(f"a hard link to {printable(entry.link)}, out of the layer") from error
        if not target or target == parts:
            raise missing
        source_fd = os.dup(self.directory.enter(target[:-1], create=False).fd)
        try:
            status = lstat(target[-1], source_fd)
            if status is None or stat.S_ISDIR(status.st_mode) or is_whiteout(status):
                raise missing
            parent = self._parent(parts)
            there = lstat(parts[-1], parent.fd)
            if there is not None and (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino):
                return
            self._clear(parent.fd, parts[-1], entry.type)
            os.link(target[-1], parts[-1], src_dir_fd=source_fd, dst_dir_fd=parent.fd, follow_symlinks=False)
        finally:
            os.close(source_fd)

    def _set_xattrs(self, target: int | bytes, xattrs: Mapping[bytes, bytes]) -> None:
        for name, value in xattrs.items():
            if name.startswith(_OVERLAY_XATTRS):
                log.warning("left out xattr %s: a layer may not steer overlayfs", printable(name))
                continue
            try:
                os.setxattr(target, name, value, follow_symlinks=isinstance(target, int))
            except OSError as error:
                if error.errno != errno.ENOTSUP:
                    raise
                if not self._xattr_unsupported:
                    log.warning("left out xattr %s: the file system has none such", printable(name))
                self._xattr_unsupported = True


def _device(entry: TarEntry) -> int:
    major, minor = entry.device
    if major >= 2**12 or minor >= 2**20:
        raise InvalidImageError(f"the device number {major}:{minor} is out of range")
    return os.makedev(major, minor)


def _bounded_time(mtime_ns: int) -> int:
    """Times beyond what the kernel takes become the epoch, as in containerd."""
    return mtime_ns if -_TIME_MAX_NS < mtime_ns < _TIME_MAX_NS else 0
