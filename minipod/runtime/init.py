"""The container's first process, from clone3 to execve: one flat sequence whose order is the point.

It is born in its cgroup, in a new mount namespace and (unless shared) a new pid one. What needs the host's files comes
first, then the container's root is put together and becomes the only one, then the rights go, then the command runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from minipod.linux import namespaces, netdevice
from minipod.linux.keyring import join_new_session_keyring
from minipod.runtime import become, credentials, devices, mounts, subpath, sync, sysctl
from minipod.runtime import rootfs as root
from minipod.runtime.become import ProcessPlan
from minipod.runtime.child import Stage, step
from minipod.runtime.credentials import Warn
from minipod.runtime.devices import Device
from minipod.runtime.mounts import Mount
from minipod.runtime.namespace_plan import NamespacePlan
from minipod.runtime.types import OverlayRootfs, SubPathMount


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """All that a container's first process is made from: the OCI document, read and checked."""

    process: ProcessPlan
    namespaces: NamespacePlan
    hostname: str
    sysctls: Mapping[str, str]
    rootfs: OverlayRootfs
    subpaths: Sequence[SubPathMount]
    mounts: Sequence[Mount]
    devices: Sequence[Device]
    masked: Sequence[str]
    read_only_paths: Sequence[str]
    read_only_root: bool
    propagation: str


def plan(
    oci: Mapping[str, Any],
    rootfs: OverlayRootfs,
    subpaths: Sequence[SubPathMount],
    joined: NamespacePlan,
    cgroup_mount: str,
) -> ContainerPlan:
    """Raises LaunchError naming what is wrong or not supported in the document."""
    _refuse_unsupported(oci)
    linux = oci.get("linux") or {}
    with step(Stage.CONFIG, "config", "config"):
        own_cgroup = bool(joined.own & namespaces.CLONE_NEWCGROUP)
        planned = mounts.plan(oci.get("mounts") or (), own_cgroup=own_cgroup, cgroup_mount=cgroup_mount)
        # With the host's own /dev in place (a privileged pod's hostPath) nothing may be made in it.
        host_dev = any(m.target.rstrip("/") == "/dev" and m.fstype == "bind" for m in planned)
        nodes = () if host_dev else devices.plan(linux.get("devices") or ())
    return ContainerPlan(
        process=become.plan(oci.get("process") or {}),
        namespaces=joined,
        hostname=oci.get("hostname") or "",
        sysctls=linux.get("sysctl") or {},
        rootfs=rootfs,
        subpaths=subpaths,
        mounts=planned,
        devices=nodes,
        masked=linux.get("maskedPaths") or (),
        read_only_paths=linux.get("readonlyPaths") or (),
        read_only_root=bool((oci.get("root") or {}).get("readonly")),
        propagation=linux.get("rootfsPropagation") or "",
    )


def _refuse_unsupported(oci: Mapping[str, Any]) -> None:
    """What this runtime would otherwise silently not do is an error."""
    linux = oci.get("linux") or {}
    names = ("seccomp", "intelRdt", "mountLabel", "personality", "uidMappings", "timeOffsets")
    asked = {f"linux.{name}": linux.get(name) for name in names}
    asked["hooks"] = any((oci.get("hooks") or {}).values())
    for name, value in asked.items():
        with step(Stage.CONFIG, name, name):
            if value:
                raise ValueError("not supported by this version of minipod")


def start_container(plan: ContainerPlan, sync_fd: int, infra_pidfd: int, *, hold: bool) -> NoReturn:
    """The whole way; raises LaunchError where it ends early."""
    warn = partial(sync.send_warning, sync_fd)
    os.setsid()
    _join_namespaces(plan.namespaces, infra_pidfd)
    _name_the_machine(plan)
    _prepare_on_the_host(plan.process, warn)
    master, slave = _build_root(plan)
    if slave >= 0:
        become.adopt_console(plan.process, sync_fd, master, slave)
    become.become(plan.process, warn, held_by=sync_fd if hold else -1)


def _join_namespaces(plan: NamespacePlan, infra_pidfd: int) -> None:
    if joined := plan.infra & ~namespaces.CLONE_NEWPID:
        with step(Stage.NAMESPACES, "infra", "join the pod's namespaces"):
            namespaces.setns(infra_pidfd, joined)
    for flag, path in plan.paths:
        if flag == namespaces.CLONE_NEWPID:
            continue
        with step(Stage.NAMESPACES, path, f"join namespace {path}"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            namespaces.setns(fd, flag)
            os.close(fd)
    if plan.unshare:
        with step(Stage.NAMESPACES, hex(plan.unshare), "make namespaces"):
            namespaces.unshare(plan.unshare)
    if plan.new & namespaces.CLONE_NEWNET:
        with step(Stage.NAMESPACES, "lo", "bring up the loopback interface"):
            netdevice.bring_up("lo")


def _name_the_machine(plan: ContainerPlan) -> None:
    """Hostname and sysctls, in namespaces that are new or the pod's: never the host's."""
    if plan.hostname and plan.namespaces.new & namespaces.CLONE_NEWUTS:
        with step(Stage.HOSTNAME, plan.hostname, f"set hostname {plan.hostname}"):
            namespaces.sethostname(plan.hostname)
    for name, value in plan.sysctls.items():
        with step(Stage.SYSCTL, name, f"sysctl {name}"):
            sysctl.write(name, value, plan.namespaces.own)


def _prepare_on_the_host(process: ProcessPlan, warn: Warn) -> None:
    """What needs the host's /proc, or concerns the session rather than the container's root."""
    if process.credentials.oom_score_adj is not None:
        credentials.set_oom_score_adj(process.credentials.oom_score_adj, warn)
    join_new_session_keyring()
    os.umask(0o022)


def _build_root(plan: ContainerPlan) -> tuple[int, int]:
    """Put the container's root together and make it the root; returns the console's (master, slave) or (-1, -1)."""
    with step(Stage.ROOTFS, "/", "leave the host's mount propagation"):
        root.receive_only()
    root_fd = root.mount_overlay(plan.rootfs)
    # What is made inside from here on has the modes it is given.
    os.umask(0)
    sources = subpath.open_all(plan.subpaths)
    mounts.carry_out(root_fd, plan.mounts, sources)
    for fd in sources.values():
        os.close(fd)
    if plan.devices:
        devices.create(root_fd, plan.devices)
    console = (-1, -1)
    if plan.process.terminal:
        console = devices.open_console(root_fd, bind=bool(plan.devices))
    become.make_working_directory(root_fd, plan.process.cwd)
    mounts.make_read_only(root_fd, plan.read_only_paths)
    mounts.mask(root_fd, plan.masked)
    root.finish(root_fd, read_only=plan.read_only_root, propagation=plan.propagation)
    os.close(root_fd)
    return console
