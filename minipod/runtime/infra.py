"""The infra process as a clone of the shim, where infra_spawn's quicker way does not go (it does where `pause` runs).

It holds the pod's namespaces, owns nothing, may nothing, and waits: as the tiny `pause` program (rootfs/pause/pause.c),
else as a loop of the same kind in Python.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import NoReturn

from minipod.linux import capabilities, prctl
from minipod.linux.mount import (
    MNT_DETACH,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    move_mount,
    new_mount,
    pivot_root,
    umount2,
)
from minipod.runtime import credentials, rootfs, sync
from minipod.runtime.child import Stage, default_dispositions, step
from minipod.runtime.infra_spawn import open_program, set_up
from minipod.runtime.types import SandboxConfig

USER = 65535
"""Kubernetes' pause image runs as this user: a container's root without CAP_SYS_PTRACE cannot look into it."""

_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)


def start_infra(
    config: SandboxConfig, own: int, oom_score_adj: int | None, pause: Path, sync_fd: int
) -> NoReturn:
    """The whole way; `own` are the CLONE_NEW* flags of the namespaces it was born with. Raises LaunchError."""
    os.setsid()
    if oom_score_adj is not None:
        credentials.set_oom_score_adj(oom_score_adj, partial(sync.send_warning, sync_fd))
    set_up(config, own)
    program, last_capability = open_program(pause), capabilities.last()
    with step(Stage.ROOTFS, "/", "make an empty root"):
        _enter_empty_root()
    with step(Stage.CAPABILITIES, "all", "give up all rights"):
        _give_up_rights(last_capability)
    _wait(program, sync_fd)


def _enter_empty_root() -> None:
    rootfs.receive_only()
    attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
    empty = new_mount("tmpfs", "ro,size=4k,nr_inodes=2,mode=555", source="infra", attributes=attributes)
    # Any directory will do as its place: in a moment the whole tree around it is gone.
    place = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    move_mount(empty, place)
    os.fchdir(empty)
    pivot_root(".", ".")
    umount2(".", MNT_DETACH)
    os.chdir("/")
    os.close(place)
    os.close(empty)


def _give_up_rights(last_capability: int) -> None:
    prctl.set_no_new_privs()
    capabilities.limit_bounding(0, last_capability)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    capabilities.capset(effective=0, permitted=0, inheritable=0)
    capabilities.set_ambient(0)


def _wait(program: int, sync_fd: int) -> NoReturn:
    if program >= 0:
        # Still blocked: a SIGTERM before the program waits for it would be lost on an init, deadly to others.
        default_dispositions()
        try:
            os.execve(program, ["/pause"], {})  # noqa: S606
        except OSError:
            # Another architecture, or a file that was damaged: anything that waits will do.
            pass
    _wait_in_python(sync_fd)


def _wait_in_python(sync_fd: int) -> NoReturn:
    signal.pthread_sigmask(signal.SIG_SETMASK, _SIGNALS)
    prctl.set_name("pause")
    sync.close(sync_fd)
    while True:
        if signal.sigwait(_SIGNALS) != signal.SIGCHLD:
            os._exit(0)
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
    except ChildProcessError:
        pass
