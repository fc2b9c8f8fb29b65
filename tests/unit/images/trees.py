"""What a directory tree looks like, as data to compare."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def tree(root: Path, *, times: bool = False) -> dict[str, tuple[object, ...]]:
    """Relative path -> what is there: kind and mode, owner, content or target or device, xattrs, links (and mtime)."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status = path.lstat()
        found[str(path.relative_to(root))] = (
            stat.filemode(status.st_mode),
            (status.st_uid, status.st_gid),
            _content(path, status),
            {
                name: os.getxattr(path, name, follow_symlinks=False)
                for name in os.listxattr(path, follow_symlinks=False)
            },
            1 if stat.S_ISDIR(status.st_mode) else status.st_nlink,
            *([status.st_mtime_ns] if times else []),
        )
    return found


def _content(path: Path, status: os.stat_result) -> object:
    if stat.S_ISREG(status.st_mode):
        return path.read_bytes()
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    return (os.major(status.st_rdev), os.minor(status.st_rdev))
