"""A container's root: the overlay of its image layers, and making it the root of the mount namespace."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from minipod.linux.mount import (
    MNT_DETACH,
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_REC,
    MS_SLAVE,
    mount,
    mount_setattr,
    pivot_root,
    umount2,
)
from minipod.runtime.child import Stage, step
from minipod.runtime.mount_options import PROPAGATION
from minipod.runtime.types import OverlayRootfs

_MAX_MOUNT_DATA = 4095
"""mount(2) takes one page of options, its final NUL included."""
_SPECIAL = frozenset(b'\\,:"')
"""Bytes of a path that overlayfs would take for its own syntax."""


def receive_only() -> None:
    """Let mounts of the caller's namespace get the host's later mounts and unmounts, and give back none."""
    mount(None, "/", None, MS_REC | MS_SLAVE)


def mount_overlay(rootfs: OverlayRootfs) -> int:
    """Mount the overlay over its own upper directory, in the caller's mount namespace only; returns its O_PATH root.

    A missing upper or work directory is made, the upper one owned like the uppermost layer's root. Any place would
    do to mount it at; this one exists, and nobody has a reason to look at it through this namespace.
    """
    lower = [os.fspath(path) for path in rootfs.lower]
    upper, work = os.fspath(rootfs.upper), os.fspath(rootfs.work)
    fds: list[int] = []
    try:
        for path in lower:
            with step(Stage.ROOTFS, path, f"image layer {path}"):
                fds.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        _make_upper(rootfs, fds[0] if fds else -1)
        for path in (upper, work):
            with step(Stage.ROOTFS, path, f"writable layer {path}"):
                fds.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        with step(Stage.ROOTFS, upper, f"mount overlay at {upper}"):
            mount("overlay", upper, "overlay", 0, overlay_options([*lower, upper, work], fds))
            return os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        for fd in fds:
            os.close(fd)


def overlay_options(paths: Sequence[str], fds: Sequence[int]) -> str:
    """Mount options for lower layers (uppermost first), upper and work directory, which `paths` ends with.

    Descriptors of the paths stand in for them where names are too long together or hold bytes that overlayfs reads
    as syntax. index=off: an index would tie the upper directory to one exact set of lower ones, and mounting it twice
    (a start that overtakes the last unmount) would be EBUSY.
    """
    plain = _overlay_options(paths)
    if len(os.fsencode(plain)) <= _MAX_MOUNT_DATA and not any(_SPECIAL & set(os.fsencode(p)) for p in paths):
        return plain
    return _overlay_options([f"/proc/self/fd/{fd}" for fd in fds])


def _overlay_options(paths: Sequence[str]) -> str:
    *lower, upper, work = paths
    return f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work},index=off"


def _make_upper(rootfs: OverlayRootfs, top_layer: int) -> None:
    for path in (rootfs.upper, rootfs.work):
        with step(Stage.ROOTFS, str(path), f"make {path}"):
            _make_host_directory(path)
    if top_layer < 0:
        return
    owner, found = os.fstat(top_layer), os.stat(rootfs.upper)
    if (owner.st_uid, owner.st_gid) != (found.st_uid, found.st_gid):
        os.chown(rootfs.upper, owner.st_uid, owner.st_gid)


def _make_host_directory(path: Path) -> None:
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        pass
    except FileNotFoundError:
        _make_host_directory(path.parent)
        os.mkdir(path, 0o755)


def finish(root_fd: int, *, read_only: bool, propagation: str) -> None:
    """Make the mount at `root_fd` the root of this namespace, and nothing of the old tree reachable.

    `propagation` as in linux.rootfsPropagation; empty means private.
    """
    with step(Stage.ROOTFS, "/", "make the root file system read-only"):
        if read_only:
            mount_setattr(root_fd, attr_set=MOUNT_ATTR_RDONLY)
    with step(Stage.ROOTFS, "/", "pivot_root"):
        os.fchdir(root_fd)
        pivot_root(".", ".")
        # The old root is now stacked on the new one, where "." still is.
        umount2(".", MNT_DETACH)
        os.chdir("/")
    with step(Stage.ROOTFS, propagation, f"set rootfsPropagation {propagation}"):
        if propagation:
            below = propagation.startswith("r")
            flag = PROPAGATION.get(propagation.removeprefix("r"), MS_PRIVATE)
            mount_setattr(root_fd, propagation=flag, recursive=below)
