"""Trying things out in a child process that ends with everything it made.

The child has namespaces of its own: what it mounts, which interfaces and rules it makes, nobody else ever sees, and
the kernel takes it all away with the child. Nothing is written to a disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from minipod.linux import mount, namespaces, nftables, openat2, process
from minipod.linux.rtnetlink import RouteSocket, VethEnd, new_bridge, new_veth

PLACE = "/tmp"  # noqa: S108 (only mounted over, and only in the child's own mount namespace)
MAC = "02:00:00:00:00:01"
MTU = 1500

MASQUERADE = """
table inet minipod_doctor {
  chain postrouting {
    type nat hook postrouting priority srcnat
    masquerade
  }
}
"""

SHARED = (
    namespaces.CLONE_NEWNS
    | namespaces.CLONE_NEWUTS
    | namespaces.CLONE_NEWIPC
    | namespaces.CLONE_NEWNET
    | namespaces.CLONE_NEWCGROUP
)


def run_trials() -> dict[str, str]:
    """Name -> "" when it worked, else what went wrong. Names not in it were not reached."""
    return _in_child(_all)


def _in_child(work: Callable[[dict[str, str]], None]) -> dict[str, str]:
    """What `work` noted down, however the child ended."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(receive)
        notes: dict[str, str] = {}
        try:
            work(notes)
        finally:
            os.write(send, json.dumps(notes).encode())
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    told: dict[str, str] = json.loads(data) if data else {}
    return told


def _all(notes: dict[str, str]) -> None:
    note = _Notes(notes)
    note.attempt("pidfd", lambda: os.close(os.pidfd_open(os.getpid())))
    note.attempt("openat2", _openat2)
    note.attempt("clone3", _clone3)
    note.attempt("seccomp", lambda: os.stat("/proc/sys/kernel/seccomp/actions_avail"))
    # In a child of its own: a user namespace would take the rights away that the rest needs.
    notes.update(_in_child(_try_user_namespace))
    if not note.attempt("namespaces", _own_namespaces):
        return
    if note.attempt("mount API", _tmpfs):
        note.attempt("overlayfs", _overlay)
    if note.attempt("bridge", _bridge):
        note.attempt("veth", _veth)
    note.attempt("nftables nat", lambda: nftables.apply(MASQUERADE))
    note.attempt("pid namespace", _pid_namespace)


class _Notes:
    def __init__(self, notes: dict[str, str]) -> None:
        self._notes = notes

    def attempt(self, name: str, act: Callable[[], object]) -> bool:
        try:
            act()
        except OSError as error:
            self._notes[name] = f"{error.strerror or error}"
            return False
        self._notes[name] = ""
        return True


def _openat2() -> None:
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        os.close(openat2.open_in(root, "proc"))
    finally:
        os.close(root)


def _clone3() -> None:
    pid, pidfd = process.clone3(0)
    if pid == 0:
        os._exit(0)
    os.close(pidfd)
    os.waitpid(pid, 0)


def _try_user_namespace(notes: dict[str, str]) -> None:
    _Notes(notes).attempt("user namespace", lambda: namespaces.unshare(namespaces.CLONE_NEWUSER))


def _own_namespaces() -> None:
    namespaces.unshare(SHARED)
    # Otherwise what is mounted here would appear on the host, whose mounts are shared.
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)


def _tmpfs() -> None:
    tree = mount.new_mount("tmpfs", "mode=0700,size=64k")
    target = os.open(PLACE, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mount.move_mount(tree, target)
    mount.mount_setattr(tree, attr_set=mount.MOUNT_ATTR_NODEV)


def _overlay() -> None:
    for name in ("lower", "upper", "work"):
        os.mkdir(f"{PLACE}/{name}")
    options = f"lowerdir={PLACE}/lower,upperdir={PLACE}/upper,workdir={PLACE}/work"
    os.close(mount.new_mount("overlay", options, source="overlay"))


def _bridge() -> None:
    with RouteSocket() as route:
        route.request(new_bridge("doctor0", mac=MAC, mtu=MTU))


def _veth() -> None:
    with RouteSocket() as route:
        route.request(new_veth(VethEnd(name="doctor1", mtu=MTU), VethEnd(name="doctor2", mtu=MTU)))


def _pid_namespace() -> None:
    """The last of all: after its first process has ended, no other can be born there."""
    namespaces.unshare(namespaces.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if os.getpid() == 1 else 1)
    _, status = os.waitpid(pid, 0)
    if status:
        raise OSError(0, "the first process of a new pid namespace is not number 1")
