"""The last part of every start, container or exec: inside the container's root, from all rights to the command."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any, NoReturn

from minipod.linux import pty
from minipod.linux.openat2 import make_directory, open_in
from minipod.runtime import command, credentials, sync
from minipod.runtime.child import Stage, step
from minipod.runtime.credentials import Warn

_MAX_PASSWD = 1 << 20
_NULL_DEVICE = os.makedev(1, 3)


def become(process: Mapping[str, Any], env: dict[str, str], warn: Warn) -> NoReturn:
    """Limits, directory, user, rights, execve: what the OCI process object says. Raises LaunchError."""
    user = credentials.user_of(process)
    if "HOME" not in env:
        env["HOME"] = home_of(user.uid)
    credentials.set_limits(process.get("rlimits") or (), warn)
    _give_stdio_to(user.uid)
    directory = process.get("cwd") or "/"
    entered = _enter(directory, last_try=False)
    credentials.take(process, user, warn)
    if not entered:
        _enter(directory, last_try=True)
    command.execute(process.get("args") or (), env)


def adopt_console(process: Mapping[str, Any], sync_fd: int, master: int, slave: int) -> None:
    """Make the slave stdin, stdout, stderr and the controlling terminal; the parent gets the master."""
    with step(Stage.CONSOLE, "/dev/console", "set up the terminal"):
        if size := process.get("consoleSize"):
            pty.set_window_size(master, width=size["width"], height=size["height"])
        sync.send_console(sync_fd, master)
        os.close(master)
        for number in range(3):
            os.dup2(slave, number)
        os.close(slave)
        pty.set_controlling_terminal(0)


def make_working_directory(root_fd: int, process: Mapping[str, Any]) -> None:
    """Make process.cwd below the container's root where an image lacks it, as runc does."""
    directory = process.get("cwd") or "/"
    with step(Stage.WORKING_DIRECTORY, directory, f'make working directory "{directory}"'):
        if not directory.startswith("/"):
            raise ValueError("not an absolute path")
        os.close(make_directory(root_fd, directory))


def _enter(directory: str, *, last_try: bool) -> bool:
    """Make it the working directory. False when root may not enter it: on a network file system the user still may."""
    with step(Stage.WORKING_DIRECTORY, directory, f'chdir to "{directory}"'):
        root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        try:
            # Never through a magic link: /proc/self/fd/N could be anywhere.
            fd = open_in(root, directory, os.O_PATH | os.O_DIRECTORY)
            os.fchdir(fd)
            os.close(fd)
        except PermissionError:
            if last_try:
                raise
            return False
        finally:
            os.close(root)
    return True


def home_of(uid: int) -> str:
    """The home directory that the container's /etc/passwd gives a user; "/" when it does not say."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        # Not blocking: the image may have put a pipe here.
        fd = open_in(root, "etc/passwd", os.O_RDONLY | os.O_NONBLOCK)
        try:
            text = os.read(fd, _MAX_PASSWD) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
        finally:
            os.close(fd)
    except OSError:
        return "/"
    finally:
        os.close(root)
    for line in text.split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 5 and fields[2] == b"%d" % uid:
            return os.fsdecode(fields[5]) or "/"
    return "/"


def _give_stdio_to(uid: int) -> None:
    """Let the user reopen its pipes and terminal by name (/dev/stdout): they belong to root, mode 0600."""
    for fd in range(3):
        found = os.fstat(fd)
        if found.st_uid == uid or found.st_rdev == _NULL_DEVICE or stat.S_ISREG(found.st_mode):
            continue
        try:
            os.fchown(fd, uid, -1)
        except OSError:
            # A socket or a read-only place: it still works through the descriptor.
            continue
