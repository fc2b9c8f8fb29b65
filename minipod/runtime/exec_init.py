"""A further process in a running container: join its namespaces, then as for its first process.

Between clone3 and execve it is already visible in the container's pid namespace with the host's files behind it. The
shim is not dumpable and a child inherits that, so only CAP_SYS_PTRACE could reach into it.
"""

from __future__ import annotations

import os
from functools import partial
from typing import NoReturn

from minipod.linux import namespaces
from minipod.linux.keyring import join_new_session_keyring
from minipod.runtime import credentials, devices, sync
from minipod.runtime.become import ProcessPlan, adopt_console, become
from minipod.runtime.child import Stage, step

_JOINED = (
    namespaces.CLONE_NEWNS
    | namespaces.CLONE_NEWNET
    | namespaces.CLONE_NEWIPC
    | namespaces.CLONE_NEWUTS
    | namespaces.CLONE_NEWCGROUP
)
"""The pid namespace was joined by the parent: it holds for children only."""


def start_exec(process: ProcessPlan, sync_fd: int, container_pidfd: int) -> NoReturn:
    """The whole way; raises LaunchError where it ends early."""
    warn = partial(sync.send_warning, sync_fd)
    os.setsid()
    if process.credentials.oom_score_adj is not None:
        credentials.set_oom_score_adj(process.credentials.oom_score_adj, warn)
    join_new_session_keyring()
    with step(Stage.NAMESPACES, "container", "join the container's namespaces"):
        namespaces.setns(container_pidfd, _JOINED)
    os.close(container_pidfd)
    if process.terminal:
        root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        master, slave = devices.open_console(root, bind=False)
        os.close(root)
        adopt_console(process, sync_fd, master, slave)
    become(process, warn)
