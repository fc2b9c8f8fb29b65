"""emptyDir: a directory of the pod's own, on disk or (medium Memory) a tmpfs in the sandbox.

https://kubernetes.io/docs/concepts/storage/volumes/#emptydir
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from minipod.api import core_v1, quantity
from minipod.kubelet.volumes.ownership import DIRECTORY_MASK
from minipod.runtime.types import TmpfsMount

DEFAULT_MODE = 0o777
DIRECTORY_NAME = "kubernetes.io~empty-dir"


def in_memory(source: core_v1.EmptyDirVolumeSource) -> bool:
    return source.medium == "Memory"


def unsupported_medium(source: core_v1.EmptyDirVolumeSource) -> str | None:
    """Why the medium cannot be had, or None."""
    if source.medium in (None, "", "Memory"):
        return None
    return f'emptyDir medium "{source.medium}" is not supported by this version of minipod'


def directory_mode(source: core_v1.EmptyDirVolumeSource, fs_group: int | None) -> int:
    """Everyone may write; a group's directory hands its group on (setgid)."""
    mode = DEFAULT_MODE if source.mode is None else source.mode
    return mode if fs_group is None else mode | DIRECTORY_MASK


def tmpfs_mount(
    source: core_v1.EmptyDirVolumeSource, path: Path, *, fs_group: int | None, bounds: Iterable[int]
) -> TmpfsMount:
    """The tmpfs of a Memory emptyDir. `bounds`: bytes it may not exceed besides its sizeLimit (node, pod limit)."""
    options = [f"mode={directory_mode(source, fs_group):04o}"]
    limits = [b for b in (quantity.value(source.sizeLimit or "0"), *bounds) if b > 0]
    if limits:
        options.append(f"size={min(limits)}")
    if fs_group is not None:
        options.append(f"gid={fs_group}")
    return TmpfsMount(target=path, options=",".join(options))


def make_directory(path: Path, mode: int, gid: int | None) -> bool:
    """Make the directory with owner and mode in one visible step; False when it was there already."""
    if path.is_dir():
        return False
    half = path.with_name(f".{path.name}.new")
    half.mkdir(exist_ok=True)
    if gid is not None:
        os.chown(half, -1, gid)
    half.chmod(mode)
    half.rename(path)
    return True
