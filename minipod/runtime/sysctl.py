"""Sysctls of a pod: which namespace each belongs to, so that none can change the host. Pure but for `write`.

The names that have a namespace are those of the kernel's ipc, net and uts namespaces; Kubernetes' list of safe
sysctls is a subset.
"""

from __future__ import annotations

import os

from minipod.linux.namespaces import CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUTS

PROC_SYS = "/proc/sys"

_IPC_NAMES = frozenset(
    f"kernel.{name}"
    for name in (
        "msgmax",
        "msgmnb",
        "msgmni",
        "sem",
        "shmall",
        "shmmax",
        "shmmni",
        "shm_rmid_forced",
        "auto_msgmni",
        "msg_next_id",
        "sem_next_id",
        "shm_next_id",
    )
)
_WORDS = {CLONE_NEWNET: "network", CLONE_NEWIPC: "ipc", CLONE_NEWUTS: "uts"}


def normalise(name: str) -> str:
    """A name with dots between its parts; like sysctl(8), names may be written with slashes (then dots stay dots)."""
    dot, slash = name.find("."), name.find("/")
    if slash < 0 or 0 <= dot < slash:
        return name
    return name.translate(str.maketrans("./", "/."))


def namespace(name: str) -> int:
    """The CLONE_NEW* flag of the namespace that a normalised name belongs to; 0 when it is the whole host's."""
    if name.startswith("net."):
        return CLONE_NEWNET
    if name in _IPC_NAMES or name.startswith("fs.mqueue."):
        return CLONE_NEWIPC
    if name in ("kernel.hostname", "kernel.domainname"):
        return CLONE_NEWUTS
    return 0


def path(name: str) -> str:
    """The file below /proc/sys. Raises ValueError for a name with an empty or `..` part."""
    parts = [part.replace("/", ".") for part in name.split(".")]
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError("not a sysctl name")
    return "/".join((PROC_SYS, *parts))


def write(given: str, value: str, own: int) -> None:
    """Set one in the caller's namespaces; `own` are the CLONE_NEW* flags of those that are not the host's.

    Raises PermissionError for a sysctl that would change the host.
    """
    name = normalise(given)
    needed = namespace(name)
    if not needed:
        raise PermissionError("it is not namespaced and would change the whole host")
    if not needed & own:
        raise PermissionError(f"it needs a {_WORDS[needed]} namespace of the pod's own")
    fd = os.open(path(name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
