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
from minipod.runtime import become, command, credentials, devices, mounts, subpath, sync, sysctl
from minipod.runtime import rootfs as root
from minipod.runtime.child import Stage, step
from minipod.runtime.credentials import Warn
from minipod.runtime.namespace_plan import NamespacePlan
from minipod.runtime.types import OverlayRootfs, SubPathMount


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStart:
    """All that a container's first process is made from."""

    oci: Mapping[str, Any]
    rootfs: OverlayRootfs
    subpaths: Sequence[SubPathMount]
    namespaces: NamespacePlan
    cgroup_mount: str


def start_container(start: ContainerStart, sync_fd: int, infra_pidfd: int) -> NoReturn:
    """The whole way; raises LaunchError where it ends early."""
    warn = partial(sync.send_warning, sync_fd)
    process = start.oci.get("process") or {}
    with step(Stage.CONFIG, "process.env", "process"):
        env = command.environment(process.get("env") or ())
    mounts.raise_unless_supported(start.oci)
    os.setsid()
    _join_namespaces(start.namespaces, infra_pidfd)
    _name_the_machine(start)
    _prepare_on_the_host(process, warn)
    master, slave = _build_root(start, process)
    if slave >= 0:
        become.adopt_console(process, sync_fd, master, slave)
    become.become(process, env, warn)


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


def _name_the_machine(start: ContainerStart) -> None:
    """Hostname and sysctls, in namespaces that are new or the pod's: never the host's."""
    own = start.namespaces.own
    hostname = start.oci.get("hostname") or ""
    with step(Stage.HOSTNAME, hostname, f"set hostname {hostname}"):
        if hostname and start.namespaces.new & namespaces.CLONE_NEWUTS:
            namespaces.sethostname(hostname)
    for name, value in ((start.oci.get("linux") or {}).get("sysctl") or {}).items():
        with step(Stage.SYSCTL, name, f"sysctl {name}"):
            sysctl.write(name, value, own)


def _prepare_on_the_host(process: Mapping[str, Any], warn: Warn) -> None:
    """What needs the host's /proc, or concerns the session rather than the container's root."""
    if process.get("oomScoreAdj") is not None:
        credentials.set_oom_score_adj(process["oomScoreAdj"], warn)
    join_new_session_keyring()
    os.umask(0o022)


def _build_root(start: ContainerStart, process: Mapping[str, Any]) -> tuple[int, int]:
    """Put the container's root together and make it the root; returns the console's (master, slave) or (-1, -1)."""
    linux = start.oci.get("linux") or {}
    with step(Stage.CONFIG, "mounts", "config"):
        planned = mounts.plan(
            start.oci.get("mounts") or (),
            new_cgroup_namespace=bool(start.namespaces.own & namespaces.CLONE_NEWCGROUP),
            cgroup_mount=start.cgroup_mount,
        )
        nodes = devices.plan(linux.get("devices") or ())
    with step(Stage.ROOTFS, "/", "leave the host's mount propagation"):
        root.receive_only()
    root_fd = root.mount_overlay(start.rootfs)
    # What is made inside from here on has the modes it is given.
    os.umask(0)
    sources = subpath.open_all(start.subpaths)
    mounts.carry_out(root_fd, planned, sources)
    for fd in sources.values():
        os.close(fd)
    # With the host's own /dev in place (a privileged pod's hostPath) nothing may be made in it.
    host_dev = any(m.target.rstrip("/") == "/dev" and m.fstype == "bind" for m in planned)
    if not host_dev:
        devices.create(root_fd, nodes)
    console = devices.open_console(root_fd, bind=not host_dev) if process.get("terminal") else (-1, -1)
    become.make_working_directory(root_fd, process)
    mounts.make_read_only(root_fd, linux.get("readonlyPaths") or ())
    mounts.mask(root_fd, linux.get("maskedPaths") or ())
    root.finish(
        root_fd,
        read_only=bool((start.oci.get("root") or {}).get("readonly")),
        propagation=linux.get("rootfsPropagation") or "",
    )
    os.close(root_fd)
    return console
