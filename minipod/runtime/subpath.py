"""subPath mounts: a directory or file below a volume that other processes write to while it is looked up.

The kernel confines the look-up to the volume (openat2, RESOLVE_BENEATH) and hands over a descriptor; what is bound is
exactly what was found, however often a name is exchanged meanwhile. See the Kubernetes post-mortem of CVE-2017-1002101
and CVE-2021-25741 for what a path-based check lets through.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from minipod.linux.mount import open_tree
from minipod.linux.openat2 import BENEATH, make_directory, open_in
from minipod.runtime.child import Stage, step
from minipod.runtime.types import SubPathMount


def open_all(subpaths: Sequence[SubPathMount]) -> dict[str, int]:
    """target -> descriptor of a detached mount of the subpath, made as a directory where missing."""
    return {os.fspath(subpath.target): _open(subpath) for subpath in subpaths}


def _open(subpath: SubPathMount) -> int:
    with step(Stage.SUBPATH, subpath.subpath, f"subPath {subpath.subpath!r} of volume {subpath.volume}"):
        if subpath.subpath.startswith("/"):
            raise ValueError("must be a relative path")
        volume = os.open(subpath.volume, os.O_PATH | os.O_CLOEXEC)
        try:
            found = _find(volume, subpath.subpath)
            try:
                return open_tree("", dir_fd=found, recursive=True)
            finally:
                os.close(found)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise ValueError("it leads outside the volume") from error
            raise
        finally:
            os.close(volume)


def _find(volume: int, path: str) -> int:
    try:
        return open_in(volume, path, resolve=BENEATH)
    except FileNotFoundError:
        # Like kubelet: as open to the container's user as the volume is, or fsGroup would not reach it.
        mode = stat.S_IMODE(os.fstat(volume).st_mode)
        return make_directory(volume, path, mode, resolve=BENEATH)
