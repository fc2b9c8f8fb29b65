"""A container's mounts: first a plan of small values, from the OCI document alone, then the plan carried out.

Targets lie in a tree that strangers wrote. Each is looked up and made below a descriptor of the container's root
(openat2), and the mount goes onto that very descriptor: no symlink can lead it elsewhere, nor any exchange of
directories in between. Sources are the host's and are looked up as they are.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minipod.linux.mount import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
    MS_STRICTATIME,
    mount_setattr,
    move_mount,
    new_mount,
    open_tree,
)
from minipod.linux.mount import mount as mount2
from minipod.linux.openat2 import IN_ROOT, RESOLVE_NO_SYMLINKS, make_directory, make_file, open_in
from minipod.runtime.child import Stage, step
from minipod.runtime.host_devices import NULL, device_tree
from minipod.runtime.mount_options import MountOptions, parse

PLAIN_DIRECTORY = frozenset(("proc", "sysfs"))
"""Filesystems whose place may not be reached through a symlink: masks and read-only paths count on where they are."""

_SAME_IN_MOUNT2 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_STRICTATIME
"""Attributes that mount(2) knows; but for strictatime they have the same bits."""

_NO_SYMLINKS = IN_ROOT | RESOLVE_NO_SYMLINKS


@dataclass(frozen=True, slots=True)
class Mount:
    """One entry of the OCI document's `mounts`; `fstype` is "bind" for bind mounts."""

    target: str
    source: str
    fstype: str
    options: MountOptions

    def describe(self) -> str:
        what = self.source if self.fstype == "bind" else self.fstype
        return f"mount {what} to {self.target}"


def plan(mounts: Iterable[Mapping[str, Any]], *, own_cgroup: bool, cgroup_mount: str) -> list[Mount]:
    """The mounts in the document's order. Raises ValueError for one without an absolute destination or a source.

    Without a cgroup namespace of its own the container gets the host's mount of cgroup2 (`cgroup_mount`): a new mount
    would change the flags of the one superblock there is, for the host too.
    """
    planned = []
    for entry in mounts:
        options = parse(entry.get("options") or ())
        target, source = entry.get("destination") or "", entry.get("source") or ""
        fstype = "bind" if options.bind else (entry.get("type") or "none")
        if fstype in ("cgroup", "cgroup2"):
            fstype, source = ("cgroup2", "cgroup") if own_cgroup else ("bind", cgroup_mount)
        if not target.startswith("/"):
            raise ValueError(f"mounts: destination {target!r} is not an absolute path")
        if fstype == "bind" and not source.startswith("/"):
            raise ValueError(f"mounts: source {source!r} of {target} is not an absolute path")
        planned.append(Mount(target, source, fstype, options))
    return planned


def carry_out(root_fd: int, planned: Iterable[Mount], prepared: dict[str, int]) -> None:
    """Make the mounts below `root_fd`, in order.

    `prepared` holds a descriptor of a detached mount for some sources (subPaths); each is taken out when it is used,
    for it can be attached only once.
    """
    for mount in planned:
        with step(Stage.MOUNT, mount.target, mount.describe()):
            if not _mount_at_once(root_fd, mount):
                tree = _open(mount, prepared)
                try:
                    _attach(root_fd, tree, mount)
                finally:
                    os.close(tree)


def _mount_at_once(root_fd: int, mount: Mount) -> bool:
    """mount(2) of a new filesystem in one call instead of eight; False where that cannot do it.

    MS_RDONLY would make the superblock read-only, which others may share, so only the descriptor calls do that. They
    also follow a failure here: they come with the kernel's own explanation.
    """
    options = mount.options
    if mount.fstype == "bind" or options.propagation or options.attr_set & ~_SAME_IN_MOUNT2:
        return False
    target = _target(root_fd, mount, make_directory)
    try:
        flags = options.attr_set & ~MOUNT_ATTR_STRICTATIME
        if options.attr_set & MOUNT_ATTR_STRICTATIME:
            flags |= MS_STRICTATIME
        mount2(mount.source, f"/proc/self/fd/{target}", mount.fstype, flags, options.data)
        return True
    except OSError:
        return False
    finally:
        os.close(target)


def _open(mount: Mount, prepared: dict[str, int]) -> int:
    """A descriptor of the detached mount, with its attributes."""
    options = mount.options
    if mount.fstype != "bind":
        return _new(mount)
    tree = prepared.pop(mount.source, -1)
    if tree < 0:
        tree = open_tree(mount.source, recursive=options.recursive_bind)
    if options.attr_set or options.attr_clr:
        mount_setattr(tree, attr_set=options.attr_set, attr_clr=options.attr_clr)
    if options.recursive_set or options.recursive_clr:
        mount_setattr(tree, attr_set=options.recursive_set, attr_clr=options.recursive_clr, recursive=True)
    return tree


def _new(mount: Mount) -> int:
    options = mount.options
    try:
        return new_mount(mount.fstype, options.data, source=mount.source, attributes=options.attr_set)
    except PermissionError:
        if mount.fstype != "sysfs":
            raise
        # A new sysfs needs rights over the network namespace, which a nested host may withhold; the host's own then.
        tree = open_tree("/sys", recursive=True)
        mount_setattr(tree, attr_set=options.attr_set | MOUNT_ATTR_RDONLY, recursive=True)
        return tree


def _target(root_fd: int, mount: Mount, make: Callable[..., int]) -> int:
    """A descriptor of the place to mount at, made if need be."""
    resolve = _NO_SYMLINKS if mount.fstype in PLAIN_DIRECTORY else IN_ROOT
    try:
        return make(root_fd, mount.target, resolve=resolve)
    except OSError as error:
        if error.errno == errno.ELOOP and resolve & RESOLVE_NO_SYMLINKS:
            error.add_note(f"{mount.fstype} must be mounted on a directory, not through a symlink")
        raise


def _attach(root_fd: int, tree: int, mount: Mount) -> None:
    make = make_directory if _is_directory(tree) else make_file
    target = _target(root_fd, mount, make)
    try:
        move_mount(tree, target)
    except OSError as error:
        if _is_directory(tree) != _is_directory(target):  # some kernels say only that it is invalid
            error.add_note("one of them is a directory, the other is not")
        raise
    finally:
        os.close(target)
    if mount.options.propagation:
        mount_setattr(tree, propagation=mount.options.propagation, recursive=mount.options.propagate_below)


def _is_directory(fd: int) -> bool:
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def mask(root_fd: int, paths: Iterable[str]) -> None:
    """Hide what is at each path: an empty read-only directory over a directory, the null device over a file.

    A path that does not exist needs no mask.
    """
    empty = -1
    for path in paths:
        with step(Stage.MASKS, path, f"mask {path}"):
            empty = _mask_one(root_fd, path, empty)
    if empty >= 0:
        os.close(empty)


def _mask_one(root_fd: int, path: str, empty: int) -> int:
    """`empty` is a descriptor of an empty directory that masks another path already, or -1; returns the next one's.

    Once attached it can be cloned, which is cheaper than another superblock.
    """
    target = _existing(root_fd, path)
    if target < 0:
        return empty
    if not stat.S_ISDIR(os.fstat(target).st_mode):
        tree = device_tree(NULL)
    elif empty >= 0:
        tree = open_tree("", dir_fd=empty)
    else:
        options = "ro,size=4k,nr_inodes=2,mode=755"
        tree = empty = new_mount("tmpfs", options, source="tmpfs", attributes=MOUNT_ATTR_RDONLY)
    move_mount(tree, target)
    os.close(target)
    if tree != empty:
        os.close(tree)
    return empty


def make_read_only(root_fd: int, paths: Iterable[str]) -> None:
    """Put a read-only bind mount of itself on each path that exists."""
    for path in paths:
        with step(Stage.MASKS, path, f"make {path} read-only"):
            target = _existing(root_fd, path)
            if target < 0:
                continue
            tree = open_tree("", dir_fd=target, recursive=True)
            mount_setattr(tree, attr_set=MOUNT_ATTR_RDONLY, recursive=True)
            move_mount(tree, target)
            os.close(tree)
            os.close(target)


def _existing(root_fd: int, path: str) -> int:
    try:
        return open_in(root_fd, path)
    except (FileNotFoundError, NotADirectoryError):
        return -1
