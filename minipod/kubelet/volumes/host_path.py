"""hostPath: a file or directory of the host, with Kubernetes' checks of its type.

https://kubernetes.io/docs/concepts/storage/volumes/#hostpath-volume-types
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from minipod.api import core_v1

_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def check_host_path(source: core_v1.HostPathVolumeSource) -> str | None:
    """Make the path where its type says so; returns why it cannot be used, or None. Blocks as the disk does.

    Without a type nothing is checked and a missing path becomes a directory, as container runtimes have it.
    """
    path = Path(source.path)
    kind = source.type or ""
    try:
        if kind in ("", "DirectoryOrCreate") and not path.exists():
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        elif kind == "FileOrCreate" and not path.exists():
            path.touch(mode=0o644)
        if not kind:
            return None
        is_kind, words = _CHECKS[kind]
        if path.exists() and is_kind(path.stat().st_mode):
            return None
    except OSError as error:
        return f"hostPath type check failed: {path}: {error.strerror or error}"
    return f"hostPath type check failed: {path} is not {words}"
