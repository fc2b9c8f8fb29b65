"""The host's device nodes, which a privileged container gets all of."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LEFT_OUT = {"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"}
"""Below /dev: what is the container's own (containerd leaves out the same)."""


def host_devices(dev: Path = Path("/dev")) -> list[Mapping[str, Any]]:
    """OCI linux.devices entries for every device node below `dev`, symlinks left out."""
    found: list[Mapping[str, Any]] = []
    for directory, subdirectories, names in os.walk(dev):
        if directory == str(dev):
            subdirectories[:] = [name for name in subdirectories if name not in _LEFT_OUT]
        for name in names:
            if directory == str(dev) and name in _LEFT_OUT:
                continue
            path = os.path.join(directory, name)
            try:
                entry = _device(path, os.lstat(path))
            except FileNotFoundError:
                continue
            if entry is not None:
                found.append(entry)
    return found


def _device(path: str, info: os.stat_result) -> dict[str, Any] | None:
    kind = "c" if stat.S_ISCHR(info.st_mode) else "b" if stat.S_ISBLK(info.st_mode) else ""
    if not kind:
        return None
    return {
        "path": path,
        "type": kind,
        "major": os.major(info.st_rdev),
        "minor": os.minor(info.st_rdev),
        "fileMode": stat.S_IMODE(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
    }
