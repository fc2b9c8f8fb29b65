"""Looking at a host's cgroups and at what boots it. Reads only; what files say is read by pure functions."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from minipod.cli.health import boot
from minipod.cli.health.boot import Boot
from minipod.cli.health.controllers import Cgroups, Subsystem
from minipod.linux.cgroup2 import delegation, memory

FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO of linux/proc_ns.h: the inode of the host's own pid namespace."""


def look_at_cgroups(mount: str, parent: str, *, writable: bool, which: Callable[[str], str]) -> Cgroups:
    """`mount`: of cgroup2, "" for none; `parent`: of all pods, below it; `which`: a program's path or ""."""
    try:
        way = delegation.levels(Path(mount), parent) if mount else ()
    except OSError:
        way = ()
    return Cgroups(
        subsystems=subsystems(_read("/proc/cgroups")),
        v1_mounts=v1_mounts(_read("/proc/self/mountinfo")),
        way=way,
        writable=writable,
        boot=look_at_boot(which),
    )


def look_at_boot(which: Callable[[str], str]) -> Boot:
    return Boot(
        cmdline=tuple(_read("/proc/cmdline").split()),
        files=frozenset(name for name in boot.FILES if os.path.exists(name)),
        programs=frozenset(name for name in boot.PROGRAMS if which(name)),
        model=_read("/proc/device-tree/model").strip("\0\n"),
        container=container_kind(
            _read("/run/systemd/container"),
            _read("/proc/1/environ"),
            docker=os.path.exists("/.dockerenv"),
            podman=os.path.exists("/run/.containerenv"),
            host_pids=os.stat("/proc/self/ns/pid").st_ino == FIRST_PID_NAMESPACE,
        ),
        wsl="microsoft" in platform.release().lower(),
    )


def cgroup_mount(mountinfo: str) -> tuple[str, bool]:
    """(where cgroup2 is mounted, whether it can be written to); ("", False) when it is not."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if right.startswith("cgroup2 ") and fields[3] == "/":
            return fields[4], "ro" not in fields[5].split(",")
    return "", False


def subsystems(text: str) -> dict[str, Subsystem]:
    """/proc/cgroups: name, hierarchy, number of groups, enabled (cgroups(7))."""
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {row[0]: Subsystem(int(row[1]), row[3] == "1") for row in rows if len(row) == 4}


def v1_mounts(mountinfo: str) -> dict[str, str]:
    """Controller -> where it is mounted as cgroup v1: its super options name it."""
    found: dict[str, str] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        if right.startswith("cgroup "):
            for option in right.split()[2].split(","):
                found.setdefault(option, left.split()[4])
    return found


def container_kind(systemd: str, environ: str, *, docker: bool, podman: bool, host_pids: bool) -> str:
    """As systemd-detect-virt(1) finds it: what systemd wrote, what process 1 was told, what engines leave behind.

    With `host_pids` the marks of engines do not count: an image of theirs may have become a machine's root.
    """
    told = [word.partition("=")[2] for word in environ.split("\0") if word.startswith("container=")]
    marks = [name for name, there in (("docker", docker), ("podman", podman)) if there and not host_pids]
    kind = next((word for word in (systemd.strip(), *told, *marks) if word), "")
    return "" if kind == "wsl" else kind


def swap_counted(mount: str, cmdline: Sequence[str]) -> bool:
    """Whether groups limit swap, too: by one that has the memory controller, else by the command line."""
    if mount and (seen := memory.swap_counted(Path(mount))) is not None:
        return seen
    return not {"swapaccount=0", "swapaccount=n"} & set(cmdline)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
