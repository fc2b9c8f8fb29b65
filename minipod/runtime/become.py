"""The last part of every start, container or exec: inside the container's root, from all rights to the command."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from minipod.linux import pty
from minipod.linux.openat2 import make_directory, open_in
from minipod.runtime import command, credentials, sync
from minipod.runtime.child import Stage, step
from minipod.runtime.credentials import Credentials, Warn

_MAX_PASSWD = 1 << 20
_NULL_DEVICE = os.makedev(1, 3)


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """An OCI process object, read and checked. `console_size` is (columns, rows)."""

    args: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    terminal: bool
    console_size: tuple[int, int] | None
    credentials: Credentials


def plan(process: Mapping[str, Any]) -> ProcessPlan:
    """Raises LaunchError naming what is wrong or not supported in the document."""
    for name in ("apparmorProfile", "selinuxLabel", "scheduler", "ioPriority"):
        with step(Stage.CONFIG, name, f"process.{name}"):
            if process.get(name):
                raise ValueError("not supported by this version of minipod")
    with step(Stage.CONFIG, "env", "process"):
        env = command.environment(process.get("env") or ())
    cwd = process.get("cwd") or "/"
    with step(Stage.WORKING_DIRECTORY, cwd, f'working directory "{cwd}"'):
        if not cwd.startswith("/"):
            raise ValueError("not an absolute path")
    size = process.get("consoleSize")
    return ProcessPlan(
        args=tuple(process.get("args") or ()),
        env=env,
        cwd=cwd,
        terminal=bool(process.get("terminal")),
        console_size=(size["width"], size["height"]) if size else None,
        credentials=credentials.plan(process),
    )


def become(process: ProcessPlan, warn: Warn, *, held_by: int = -1) -> NoReturn:
    """Limits, directory, user, rights, execve (for `held_by` see command.execute). Raises LaunchError."""
    wanted, env = process.credentials, process.env
    if "HOME" not in env:
        env["HOME"] = home_of(wanted.user.uid)
    _give_stdio_to(wanted.user.uid)
    entered = _enter(process.cwd, last_try=False)
    # Nothing is opened from here on: a limit of four descriptors is the command's affair, not ours.
    credentials.set_limits(wanted.limits, warn)
    credentials.take(wanted, warn)
    if not entered:
        _enter(process.cwd, last_try=True)
    command.execute(process.args, env, held_by=held_by)


def adopt_console(process: ProcessPlan, sync_fd: int, master: int, slave: int) -> None:
    """Make the slave stdin, stdout, stderr and the controlling terminal; the parent gets the master."""
    with step(Stage.CONSOLE, "/dev/console", "set up the terminal"):
        if process.console_size:
            width, height = process.console_size
            pty.set_window_size(master, width=width, height=height)
        sync.send_console(sync_fd, master)
        os.close(master)
        for number in range(3):
            os.dup2(slave, number)
        os.close(slave)
        pty.set_controlling_terminal(0)


def make_working_directory(root_fd: int, path: str) -> None:
    """Make the directory below the container's root where an image lacks it, as runc does."""
    with step(Stage.WORKING_DIRECTORY, path, f'make working directory "{path}"'):
        os.close(make_directory(root_fd, path))


def _enter(path: str, *, last_try: bool) -> bool:
    """Make it the working directory. False when root may not enter it: on a network file system the user still may."""
    with step(Stage.WORKING_DIRECTORY, path, f'chdir to "{path}"'):
        root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        try:
            # Never through a magic link: /proc/self/fd/N could be anywhere.
            fd = open_in(root, path, os.O_PATH | os.O_DIRECTORY)
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
