"""A directory as a tar archive: the same tree always gives the same bytes, whoever packs it and when."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path
from typing import BinaryIO, cast

from minipod.images.errors import InvalidImageError
from minipod.images.layer_paths import DEPTH_MAX, WHITEOUT_PREFIX
from minipod.images.tar_header import printable


def pack_directory(root: Path, target: BinaryIO) -> None:
    """Write the tree below `root` as a pax archive: owners, modes, times, xattrs, hard links, device nodes.

    Links are packed as links, sockets left out, other file systems mounted inside not entered. Raises
    InvalidImageError for a name that means a whiteout in a layer, OSError.
    """
    with tarfile.open(
        fileobj=target, mode="w|", format=tarfile.PAX_FORMAT, errors="surrogateescape"
    ) as archive:
        _Packer(archive, os.fsencode(root)).add(b"")


class _Packer:
    def __init__(self, archive: tarfile.TarFile, root: bytes) -> None:
        self._archive = archive
        self._root = root
        self._device = os.lstat(root).st_dev
        self._links: dict[int, str] = {}

    def add(self, path: bytes) -> None:
        """Add what is at `path` below the root, then all below it."""
        full = os.path.join(self._root, path)
        status = os.lstat(full) if path else os.stat(full)
        if os.path.basename(path).startswith(WHITEOUT_PREFIX):
            raise InvalidImageError(
                f"the name {printable(path)} is reserved: in a layer it hides another file"
            )
        if path.count(b"/") >= DEPTH_MAX:
            raise InvalidImageError(f"{printable(path)} is more than {DEPTH_MAX} directories deep")
        if stat.S_ISSOCK(status.st_mode):
            return
        self._add_one(full, os.fsdecode(path) or "./", status)
        if stat.S_ISDIR(status.st_mode) and status.st_dev == self._device:
            for name in sorted(os.listdir(full)):
                self.add(os.path.join(path, name))

    def _add_one(self, full: bytes, name: str, status: os.stat_result) -> None:
        info = tarfile.TarInfo(name)
        info.mode, info.uid, info.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
        info.pax_headers = _xattrs(full) | _fraction(status.st_mtime_ns)
        info.mtime = status.st_mtime_ns // 10**9
        info.type = _kind(status)
        if stat.S_ISLNK(status.st_mode):
            info.linkname = os.fsdecode(os.readlink(full))
        elif info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        elif info.type == tarfile.REGTYPE:
            self._add_file(full, info, status)
            return
        self._archive.addfile(info)

    def _add_file(self, full: bytes, info: tarfile.TarInfo, status: os.stat_result) -> None:
        if status.st_nlink > 1 and self._links.setdefault(status.st_ino, info.name) != info.name:
            info.type, info.linkname = tarfile.LNKTYPE, self._links[status.st_ino]
            self._archive.addfile(info)
            return
        info.size = status.st_size
        fd = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            self._archive.addfile(info, cast(BinaryIO, file))


def _kind(status: os.stat_result) -> bytes:
    kinds = {
        stat.S_IFDIR: tarfile.DIRTYPE,
        stat.S_IFLNK: tarfile.SYMTYPE,
        stat.S_IFIFO: tarfile.FIFOTYPE,
        stat.S_IFCHR: tarfile.CHRTYPE,
        stat.S_IFBLK: tarfile.BLKTYPE,
    }
    return kinds.get(stat.S_IFMT(status.st_mode), tarfile.REGTYPE)


def _fraction(nanoseconds: int) -> dict[str, str]:
    """What a time needs besides the header's whole seconds; as text, for a float would lose digits."""
    whole, rest = divmod(abs(nanoseconds), 10**9)
    if not rest:
        return {}
    return {"mtime": f"{'-' if nanoseconds < 0 else ''}{whole}.{rest:09d}"}


def _xattrs(path: bytes) -> dict[str, str]:
    names = os.listxattr(path, follow_symlinks=False)
    return {
        f"SCHILY.xattr.{name}": os.getxattr(path, name, follow_symlinks=False).decode(
            "utf-8", "surrogateescape"
        )
        for name in sorted(names)
    }
