"""fsGroup: hand a volume's files to a group, whatever is in the volume and whoever changes it meanwhile.

Every step goes through a descriptor of the very file it changes; no symlink is followed, no other file system
entered, and the way back up is checked. https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

FILE_MASK = 0o660
DIRECTORY_MASK = 0o2770

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def matches(info: os.stat_result, gid: int) -> bool:
    """Whether a volume's root already belongs to the group as fsGroupChangePolicy OnRootMismatch wants it."""
    return info.st_gid == gid and info.st_mode & DIRECTORY_MASK == DIRECTORY_MASK


def give_to_group(root: Path, gid: int, *, only_on_root_mismatch: bool = False) -> None:
    """Give everything in the volume to `gid`: group may read and write, directories are setgid.

    The root is changed last, so that a walk that was cut short is a mismatch next time. Raises OSError.
    """
    current = os.open(root, _DIRECTORY)
    try:
        if only_on_root_mismatch and matches(os.fstat(current), gid):
            return
        device = os.fstat(current).st_dev
        above: list[tuple[tuple[int, int], list[str]]] = []
        below = _change_entries(current, gid)
        while True:
            if below:
                child = _enter(current, below.pop(), device)
                if child is not None:
                    above.append((_identity(current), below))
                    os.close(current)
                    current = child
                    below = _change_entries(current, gid)
                continue
            _change(f"/proc/self/fd/{current}", os.fstat(current), gid)
            if not above:
                return
            identity, below = above.pop()
            current = _leave(current, identity, root)
    finally:
        os.close(current)


def _enter(directory: int, name: str, device: int) -> int | None:
    """A descriptor of the subdirectory; None when it is gone or another file system."""
    try:
        child = os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    if os.fstat(child).st_dev == device:
        return child
    os.close(child)
    return None


def _leave(child: int, identity: tuple[int, int], root: Path) -> int:
    """Back to the parent, which must be the directory we came from: someone may have moved the child away."""
    parent = os.open("..", _DIRECTORY, dir_fd=child)
    if _identity(parent) != identity:
        os.close(parent)
        raise OSError(errno.ESTALE, "directories were moved while their group was being changed", str(root))
    os.close(child)
    return parent


def _change_entries(directory: int, gid: int) -> list[str]:
    """Change all that is not a directory; returns the names of the directories."""
    directories = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                _change_file(directory, entry.name, gid)
    return directories


def _change_file(directory: int, name: str, gid: int) -> None:
    try:
        handle = os.open(name, _HANDLE, dir_fd=directory)
    except OSError as error:
        if error.errno in _GONE:
            return
        raise
    try:
        _change(f"/proc/self/fd/{handle}", os.fstat(handle), gid)
    finally:
        os.close(handle)


def _change(path: str, info: os.stat_result, gid: int) -> None:
    """`path` leads to a descriptor. chown(2) takes setuid and setgid bits away, so the mode comes after it."""
    os.chown(path, -1, gid)
    if stat.S_ISLNK(info.st_mode):
        return  # a symlink has no mode of its own
    mask = DIRECTORY_MASK if stat.S_ISDIR(info.st_mode) else FILE_MASK
    os.chmod(path, stat.S_IMODE(info.st_mode) | mask)


def _identity(fd: int) -> tuple[int, int]:
    info = os.fstat(fd)
    return info.st_dev, info.st_ino
