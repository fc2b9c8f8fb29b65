"""openat2(2): look-ups that cannot leave a directory, whatever symlinks lie below it, and making what is missing.

A container's root, an image layer and a volume are written by strangers, also while we look. So nothing below them is
ever opened by a path from the outside: there is a descriptor of the root, and the kernel confines each look-up to it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from minipod.linux.libc import encode, system_call

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
"""As in a chroot: absolute symlinks and `..` start again at, or stop at, the root."""
BENEATH = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
"""What leads outside is an error (EXDEV)."""

MAX_SYMLINKS = 40
_MAX_RACES = 256
"""The kernel answers EAGAIN when a rename elsewhere made `..` unsure; it asks to try again."""


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_openat2 = system_call(437, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t)


def openat2(dir_fd: int, path: str, flags: int, mode: int = 0, *, resolve: int) -> int:
    """openat2(2), close-on-exec. OSError carries the path as `filename`."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    raw = encode(path)
    for _ in range(_MAX_RACES):
        fd = _openat2(dir_fd, raw, how, ctypes.sizeof(how))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code != errno.EAGAIN:
            break
    raise OSError(code, os.strerror(code), path)


def open_in(root_fd: int, path: str, flags: int = os.O_PATH, *, resolve: int = IN_ROOT) -> int:
    """Open what is at `path` below `root_fd`; a leading slash means that root, the empty path the root itself."""
    return openat2(root_fd, path.lstrip("/") or ".", flags, resolve=resolve)


def make_directory(root_fd: int, path: str, mode: int = 0o755, *, resolve: int = IN_ROOT) -> int:
    """An O_PATH descriptor of the directory `path` below `root_fd`, made with its parents where missing.

    Symlinks are followed within the root, also dangling ones, whose target is then made. The umask applies to
    `mode`. Raises NotADirectoryError, or as the kernel does (ELOOP, EXDEV for an escape with BENEATH).
    """
    try:
        return open_in(root_fd, path, os.O_PATH | os.O_DIRECTORY, resolve=resolve)
    except FileNotFoundError:
        return _Maker(root_fd, resolve, mode).walk(path, last=stat.S_IFDIR | mode)


def make_file(root_fd: int, path: str, mode: int = 0o644, *, resolve: int = IN_ROOT) -> int:
    """An O_PATH descriptor of what is at `path` below `root_fd`; if nothing is, an empty regular file is made there."""
    try:
        return open_in(root_fd, path, resolve=resolve)
    except FileNotFoundError:
        return _Maker(root_fd, resolve, 0o755).walk(path, last=stat.S_IFREG | mode)


class _Maker:
    """One walk that makes what it misses.

    Each step opens the whole path so far from the root again, so that the kernel's confinement holds for every step;
    a new entry is made by its bare name in the parent just opened.
    """

    def __init__(self, root_fd: int, resolve: int, directory_mode: int) -> None:
        self.root_fd = root_fd
        self.resolve = resolve
        self.directory = stat.S_IFDIR | directory_mode
        self.links_left = MAX_SYMLINKS

    def walk(self, path: str, last: int) -> int:
        """Return a descriptor of the path's end; `last` is the type and mode it is made with."""
        done: list[str] = []
        todo = _parts(path)
        parent = open_in(self.root_fd, "", os.O_PATH | os.O_DIRECTORY)
        try:
            while todo:
                name = todo[0]
                entry = self._enter(parent, [*done, name], last if len(todo) == 1 else self.directory)
                if isinstance(entry, str):
                    todo = _parts(entry) + todo[1:]
                    if not entry.startswith("/"):
                        continue
                    done = []
                    entry = open_in(self.root_fd, "", os.O_PATH | os.O_DIRECTORY)
                else:
                    done.append(todo.pop(0))
                os.close(parent)
                parent = entry
            return os.dup(parent)
        finally:
            os.close(parent)

    def _enter(self, parent: int, path: list[str], kind: int) -> int | str:
        """A descriptor of the path's last part, made if need be; or the text of the dangling symlink that is there."""
        flags = os.O_PATH | (os.O_DIRECTORY if stat.S_ISDIR(kind) else 0)
        whole = "/".join(path)
        for _ in range(_MAX_RACES):
            try:
                return open_in(self.root_fd, whole, flags, resolve=self.resolve)
            except FileNotFoundError:
                pass
            try:
                _make(parent, path[-1], kind)
            except FileExistsError:
                if (target := self._dangling(parent, path[-1])) is not None:
                    return target
        raise OSError(errno.EAGAIN, "appears and vanishes", whole)

    def _dangling(self, parent: int, name: str) -> str | None:
        try:
            target = os.readlink(name, dir_fd=parent)
        except OSError:
            return None
        if self.resolve & RESOLVE_NO_SYMLINKS or self.links_left == 0:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        if self.resolve & RESOLVE_BENEATH and target.startswith("/"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
        self.links_left -= 1
        return target


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _make(parent: int, name: str, kind: int) -> None:
    mode = stat.S_IMODE(kind)
    if stat.S_ISDIR(kind):
        os.mkdir(name, mode, dir_fd=parent)
    else:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        os.close(os.open(name, flags, mode, dir_fd=parent))
