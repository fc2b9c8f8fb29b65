"""A container's start without a process: what a child does before its execve, done by the spawner to itself.

Code that has run is specialised, and its caches are filled: both are writes, and each page written to is a page that a
clone has to copy. Done once in the spawner, all later children find them done: a start touches a quarter fewer pages.
It happens in a mount namespace that is left again; only what cannot be taken back (pivot_root, rights) is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minipod.linux.namespaces import CLONE_NEWNS, setns, unshare
from minipod.linux.tree import remove_tree
from minipod.runtime import become, credentials, devices, init, mounts, namespace_plan
from minipod.runtime import rootfs as root
from minipod.runtime.types import OverlayRootfs

_SPECIAL = ["nosuid", "noexec", "nodev"]
_CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"]
_OCI: dict[str, Any] = {
    "root": {"path": "rootfs"},
    "process": {
        "args": ["true"],
        "env": ["PATH=/bin", "HOME=/"],
        "cwd": "/work",
        "user": {"uid": 0, "gid": 0},
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
    },
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": _SPECIAL},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": _SPECIAL},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*_SPECIAL, "ro"]},
        {
            "destination": "/volume",
            "type": "bind",
            "source": "/proc",
            "options": ["rbind", "rprivate", "ro"],
        },
        {
            "destination": "/etc/hosts",
            "type": "bind",
            "source": "/dev/null",
            "options": ["bind", "rprivate"],
        },
    ],
    "linux": {
        "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "cgroup"}],
        "maskedPaths": ["/proc/keys", "/proc/acpi", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/sys"],
    },
}


def rehearse(scratch: Path, rounds: int) -> None:
    """Go through the motions below a directory that is made and removed. Raises whatever goes wrong."""
    lower = scratch / "lower"
    lower.mkdir(parents=True)
    try:
        for number in range(rounds):
            with _visiting_namespace():
                _start(
                    OverlayRootfs(lower=(lower,), upper=scratch / f"u{number}", work=scratch / f"w{number}")
                )
    finally:
        remove_tree(scratch)


@contextmanager
def _visiting_namespace() -> Iterator[None]:
    """A mount namespace for the time of the block. Going home moves root and working directory: put them back."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    root_fd, cwd_fd, umask = os.open("/", flags), os.open(".", flags), os.umask(0o022)
    try:
        unshare(CLONE_NEWNS)
        try:
            yield
        finally:
            setns(home, CLONE_NEWNS)
            os.fchdir(root_fd)
            os.chroot(".")
            os.fchdir(cwd_fd)
    finally:
        os.umask(umask)
        for fd in (home, root_fd, cwd_fd):
            os.close(fd)


def _start(overlay: OverlayRootfs) -> None:
    joined = namespace_plan.plan(_OCI["linux"]["namespaces"], 0)
    plan = init.plan(_OCI, overlay, (), joined, "")
    root.receive_only()
    root_fd = root.mount_overlay(plan.rootfs)
    try:
        mounts.carry_out(root_fd, plan.mounts, {})
        devices.create(root_fd, plan.devices)
        become.make_working_directory(root_fd, plan.process.cwd)
        mounts.make_read_only(root_fd, plan.read_only_paths)
        mounts.mask(root_fd, plan.masked)
        credentials.set_limits(plan.process.credentials.limits, _nobody_listens)
    finally:
        os.close(root_fd)


def _nobody_listens(_warning: str) -> None:
    pass
