"""What is in a container's /dev: the nodes and links that the runtime-spec promises, its own, and the console.

See config-linux.md, "Default Devices". The nodes are made with mknod; where that is forbidden the host's are bound.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minipod.linux.mount import move_mount, open_tree
from minipod.linux.openat2 import IN_ROOT, RESOLVE_NO_SYMLINKS, make_directory, make_file, open_in
from minipod.linux.pty import open_terminal
from minipod.runtime.child import Stage, step
from minipod.runtime.host_devices import device_tree

_TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


@dataclass(frozen=True, slots=True)
class Device:
    """A node at an absolute path inside the container; `mode` holds type and permissions."""

    path: str
    mode: int
    number: int
    uid: int = 0
    gid: int = 0


def _character(path: str, major: int, minor: int) -> Device:
    return Device(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))


DEFAULTS = (
    _character("/dev/null", 1, 3),
    _character("/dev/zero", 1, 5),
    _character("/dev/full", 1, 7),
    _character("/dev/random", 1, 8),
    _character("/dev/urandom", 1, 9),
    _character("/dev/tty", 5, 0),
)
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
_KERNEL_CORE = "/proc/kcore"


def plan(devices: Iterable[Mapping[str, Any]]) -> list[Device]:
    """The default nodes and those of linux.devices, which win over a default at the same path.

    Raises ValueError for an unknown type or a path that is not absolute.
    """
    planned = {device.path: device for device in DEFAULTS}
    for entry in devices:
        path, kind = entry["path"], entry["type"]
        if kind not in _TYPES:
            raise ValueError(f"linux.devices: unknown type {kind!r} of {path}")
        if not path.startswith("/"):
            raise ValueError(f"linux.devices: path {path!r} is not absolute")
        planned[path] = Device(
            path,
            _TYPES[kind] | (entry.get("fileMode") or 0o666) & 0o7777,
            os.makedev(entry.get("major") or 0, entry.get("minor") or 0),
            entry.get("uid") or 0,
            entry.get("gid") or 0,
        )
    return list(planned.values())


def create(root_fd: int, planned: Iterable[Device]) -> None:
    """Make the nodes and the usual links; what an image already has at a place stays."""
    directories: dict[str, int] = {}
    try:
        for device in planned:
            with step(Stage.DEVICES, device.path, f"make device {device.path}"):
                parent, name = os.path.split(device.path)
                if parent not in directories:
                    directories[parent] = make_directory(root_fd, parent)
                _make_node(directories[parent], name, device)
        with step(Stage.DEVICES, "/dev", "make links in /dev"):
            for name, target in LINKS:
                _make_link(directories["/dev"], name, target)
            if os.path.exists(_KERNEL_CORE):
                _make_link(directories["/dev"], "core", _KERNEL_CORE)
    finally:
        for fd in directories.values():
            os.close(fd)


def _make_node(directory: int, name: str, device: Device) -> None:
    try:
        os.mknod(name, device.mode, device.number, dir_fd=directory)
        if device.uid or device.gid:
            os.chown(name, device.uid, device.gid, dir_fd=directory, follow_symlinks=False)
    except FileExistsError:
        return
    except PermissionError:
        tree = device_tree(device.path)
        target = make_file(directory, name, resolve=IN_ROOT | RESOLVE_NO_SYMLINKS)
        move_mount(tree, target)
        os.close(tree)
        os.close(target)


def _make_link(directory: int, name: str, target: str) -> None:
    try:
        os.symlink(target, name, dir_fd=directory)
    except FileExistsError:
        pass


def open_console(root_fd: int, *, bind: bool) -> tuple[int, int]:
    """A terminal of the container's own devpts: (master, slave). With `bind` it also becomes /dev/console.

    In a running container everything but the devpts mount itself may have been replaced, hence no symlinks and the
    checks of open_terminal.
    """
    with step(Stage.CONSOLE, "/dev/pts", "open a terminal in /dev/pts"):
        flags = os.O_PATH | os.O_DIRECTORY
        devpts = open_in(root_fd, "dev/pts", flags, resolve=IN_ROOT | RESOLVE_NO_SYMLINKS)
        try:
            master, slave = open_terminal(devpts)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                error.add_note("the container has no devpts mounted at /dev/pts")
            raise
        finally:
            os.close(devpts)
    if bind:
        with step(Stage.CONSOLE, "/dev/console", "mount the terminal to /dev/console"):
            target = make_file(root_fd, "dev/console", 0o600, resolve=IN_ROOT | RESOLVE_NO_SYMLINKS)
            tree = open_tree("", dir_fd=slave)
            move_mount(tree, target)
            os.close(tree)
            os.close(target)
    return master, slave
