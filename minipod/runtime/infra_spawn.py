"""The infra process without a clone of the shim: the shim itself goes into new namespaces, sets them up, starts the
pause program there, and comes home.

posix_spawn(3) is a vfork: no page of the shim is shared, so none is copied afterwards, neither here nor there. That is
worth most of a sandbox's birth. The program gives up its rights by itself (rootfs/pause/pause.c) and, born in the
shim's own cgroup, stays there: to move a process is slow (a grace period of the whole machine).
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from minipod.linux import namespaces, netdevice
from minipod.linux.mount import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    mount_setattr,
    open_tree,
)
from minipod.runtime import sync, sysctl
from minipod.runtime.child import Stage, step
from minipod.runtime.host_devices import open_null
from minipod.runtime.types import SandboxConfig

_REPORT = 3
"""The descriptor at which the program finds the sync socket."""
_ABOVE_ALL = 64
"""First number to park descriptors at, out of the way of the program's own four."""
_BLOCKED = (signal.SIGTERM, signal.SIGINT)
"""Before the program waits for it, SIGTERM would be lost on an init and deadly to others."""
_IGNORED_HERE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)

_FILES = {
    namespaces.CLONE_NEWNET: "net",
    namespaces.CLONE_NEWUTS: "uts",
    namespaces.CLONE_NEWIPC: "ipc",
    namespaces.CLONE_NEWPID: "pid",
}
_prepared: dict[Path, tuple[int, int]] = {}
"""Program -> descriptors of it and of /dev/null, opened by the spawner for all shims, which inherit them."""

_NOT_A_PROGRAM = (errno.ENOENT, errno.ENOEXEC, errno.EACCES)


def spawn(config: SandboxConfig, own: int, pause: Path) -> tuple[int, int] | None:
    """Start the program in new namespaces (`own`, CLONE_NEW*); (pid, sync descriptor), or None: no program to run.

    Raises LaunchError for what the sandbox asks for and cannot have.
    """
    prepared = _prepared.get(pause)
    program, null = prepared or _open(pause)
    if program < 0:
        return None
    near, far = sync.channel()
    report = _park(far)
    try:
        pid = _visit(config, own, program, null, report)
    except BaseException:
        os.close(near)
        raise
    finally:
        os.close(report)
        if prepared is None:
            os.close(program)
            os.close(null)
    if pid < 0:
        os.close(near)
        return None
    return pid, near


def prepare(pause: Path) -> tuple[int, ...]:
    """Open once what every infra process needs; the descriptors, to be kept open. Raises OSError."""
    found = _open(pause)
    if found[0] < 0:
        return ()
    _prepared[pause] = found
    return found


def _open(pause: Path) -> tuple[int, int]:
    program = open_program(pause)
    return (-1, -1) if program < 0 else (_park(program), _park(open_null(os.O_RDWR)))


def _park(fd: int) -> int:
    """The same descriptor under a number out of the way."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_ALL)
    finally:
        os.close(fd)


def open_program(pause: Path) -> int:
    """A descriptor to execute the program by, on a read-only mount of its own, or -1 when it is not there.

    With a shared pid namespace containers see this process: through /proc/1/exe nobody shall write to the file.
    """
    try:
        tree = open_tree(os.fspath(pause))
    except OSError:
        return -1
    mount_setattr(tree, attr_set=MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
    return tree


def _visit(config: SandboxConfig, own: int, program: int, null: int, report: int) -> int:
    """Go into new namespaces (the pid one is for children only), set them up, start the program, and come home."""
    homes = [
        (os.open(f"/proc/self/ns/{file}", os.O_RDONLY | os.O_CLOEXEC), flag)
        for flag, file in _FILES.items()
        if own & flag
    ]
    with step(Stage.NAMESPACES, hex(own), "make namespaces"):
        try:
            namespaces.unshare(own)
            set_up(config, own)
            return _spawn(program, null, report)
        finally:
            for fd, flag in homes:
                namespaces.setns(fd, flag)
                os.close(fd)


def set_up(config: SandboxConfig, own: int) -> None:
    """Hostname, lo and sysctls, in the caller's namespaces where they are among `own`. Raises LaunchError."""
    if own & namespaces.CLONE_NEWUTS:
        with step(Stage.HOSTNAME, config.hostname, f"set hostname {config.hostname}"):
            namespaces.sethostname(config.hostname)
    if own & namespaces.CLONE_NEWNET:
        with step(Stage.NAMESPACES, "lo", "bring up the loopback interface"):
            netdevice.bring_up("lo")
    for name, value in config.sysctls.items():
        with step(Stage.SYSCTL, name, f"sysctl {name}"):
            sysctl.write(name, value, own)


def _spawn(program: int, null: int, report: int) -> int:
    """The program's pid, or -1 when this machine cannot run it."""
    descriptors: Sequence[tuple[int, int]] = ((null, 0), (null, 1), (null, 2), (report, _REPORT))
    try:
        return os.posix_spawn(
            f"/proc/self/fd/{program}",
            ["/pause"],
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, source, number) for source, number in descriptors],
            setsigmask=_BLOCKED,
            setsigdef=_IGNORED_HERE,
        )
    except OSError as error:
        if error.errno not in _NOT_A_PROGRAM:
            raise
        return -1
