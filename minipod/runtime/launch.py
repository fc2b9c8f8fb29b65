"""Start the processes of a pod: the infra process, a container, a command in a running container.

Called in a shim, which is single-threaded and in the host's pid, net, ipc, uts and cgroup namespaces. Each call is one
clone3 straight into the target cgroup and returns at once; what the child has to say follows on `sync_fd`.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minipod.linux import prctl
from minipod.linux.cgroup2 import cgroup
from minipod.linux.libc import MACHINE
from minipod.linux.mount import move_mount, new_mount
from minipod.linux.namespaces import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
    setns,
    unshare,
)
from minipod.linux.process import clone3
from minipod.runtime import (
    become,
    child,
    device_rules,
    infra_spawn,
    init,
    mount_options,
    namespace_plan,
    sync,
)
from minipod.runtime.child import LaunchError, Stage, step
from minipod.runtime.errors import StartError
from minipod.runtime.exec_init import start_exec
from minipod.runtime.infra import start_infra
from minipod.runtime.namespace_plan import NamespacePlan
from minipod.runtime.rootfs import receive_only
from minipod.runtime.types import (
    NamespaceMode,
    OverlayRootfs,
    SandboxConfig,
    StartFailure,
    SubPathMount,
    TmpfsMount,
)

PAUSE = Path(__file__).with_name(f"pause-{MACHINE}")

exit_code = child.exit_code


@dataclass(frozen=True, slots=True)
class Launched:
    """A child on its way to execve. The caller owns both descriptors and reaps `pid` (also after a failed start).

    `sync_fd` is non-blocking: when it is readable, call minipod.runtime.sync.receive(sync_fd) until None (end of file:
    the start is over; it succeeded unless a StartFailure came before), then close it.
    """

    pid: int
    pidfd: int
    sync_fd: int


def enter_private_mounts() -> None:
    """Give the shim its own mount namespace, a slave of the host's: what is mounted here never shows up there."""
    unshare(CLONE_NEWNS)
    receive_only()


def mount_tmpfs(mount: TmpfsMount) -> None:
    """Mount a sandbox's tmpfs in the shim's mount namespace, making its directory; raises OSError.

    `options` may mix mount attributes and the filesystem's own ("nosuid,nodev,mode=1777,size=64m").
    """
    options = mount_options.parse(mount.options.split(","))
    mount.target.mkdir(mode=0o755, parents=True, exist_ok=True)
    tree = new_mount("tmpfs", options.data, source="tmpfs", attributes=options.attr_set)
    try:
        target = os.open(mount.target, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        move_mount(tree, target)
        os.close(target)
    finally:
        os.close(tree)


def launch_infra(
    config: SandboxConfig, *, cgroup_fd: int, oom_score_adj: int | None = None, pause: Path = PAUSE
) -> Launched:
    """Start the infra process, which holds the pod's network, ipc and uts namespaces and the pid one when shared.

    `config.network` POD makes new net and uts namespaces (NODE: the host's), `config.ipc` POD a new ipc one,
    `config.pid` POD a new pid namespace whose init the infra process is. Hostname, sysctls and lo are set up before it
    gives up all rights. It lives in the caller's cgroup; `cgroup_fd` is a directory descriptor of that. Raises
    StartError.
    """
    own = 0
    if config.network is NamespaceMode.POD:
        own |= CLONE_NEWNET | CLONE_NEWUTS
    if config.ipc is NamespaceMode.POD:
        own |= CLONE_NEWIPC
    if config.pid is NamespaceMode.POD:
        own |= CLONE_NEWPID

    if oom_score_adj is None and (spawned := _spawn_infra(config, own, pause)):
        return spawned

    def body(sync_fd: int, _keep: list[int]) -> None:
        start_infra(config, own, oom_score_adj, pause, sync_fd)

    return clone_child(body, flags=own | CLONE_NEWNS, cgroup_fd=cgroup_fd, stdio=None)


def _spawn_infra(config: SandboxConfig, own: int, pause: Path) -> Launched | None:
    """The quick way, where there is a pause program for this machine."""
    try:
        started = infra_spawn.spawn(config, own, pause)
    except LaunchError as error:
        raise StartError(error.failure) from error
    if started is None:
        return None
    pid, sync_fd = started
    return Launched(pid, os.pidfd_open(pid), sync_fd)


def launch_container(
    oci: Mapping[str, Any],
    rootfs: OverlayRootfs,
    *,
    cgroup_fd: int,
    stdio: tuple[int, int, int] | None,
    subpaths: Sequence[SubPathMount] = (),
    infra_pid: int = 0,
    infra_pidfd: int = -1,
    pid_of: int = -1,
    hold: bool = False,
) -> Launched:
    """Start a container from its OCI runtime-spec document.

    `linux.namespaces` decides: a type without a path is new, with a path it is joined, a type not listed is the
    shim's (the host's). A path /proc/<infra_pid>/ns/... is joined through `infra_pidfd`, so that a reused pid number
    cannot be hit. With `pid_of`, the pidfd of another container's first process, its pid namespace is joined whatever
    the document says of that type. `linux.resources.devices` is put on the cgroup; its other limits are the caller's
    to write. `stdio` are the descriptors of stdin, stdout and stderr; None when process.terminal is true: then the
    child opens a terminal of its own devpts and sends the master (ConsoleReady). `rootfs.upper` and `.work` are made
    when missing. Mount sources that equal a SubPathMount's target are taken from there; the target need not exist.
    With `hold` the child gets all ready and waits for sync.proceed before the execve (the OCI runtimes' create and
    start), so that it costs no time then. Raises StartError when the namespaces or device rules of the document are
    wrong or the child cannot be cloned; all else comes from the child.
    """
    linux = oci.get("linux") or {}
    try:
        with step(Stage.CONFIG, "linux.namespaces", "config"):
            joined = namespace_plan.plan(linux.get("namespaces") or (), infra_pid)
            if pid_of >= 0:
                joined = namespace_plan.without(joined, CLONE_NEWPID)
        with step(Stage.DEVICES, "linux.resources.devices", "limit access to devices"):
            resources = linux.get("resources") or {}
            device_rules.apply(cgroup_fd, device_rules.plan(resources.get("devices") or ()))
    except LaunchError as error:
        raise StartError(error.failure) from error
    mount_point = cgroup_mount()

    def body(sync_fd: int, keep: list[int]) -> None:
        # Planned here and not before the clone: whatever a shim runs once stays in its memory for good.
        plan = init.plan(oci, rootfs, subpaths, joined, mount_point)
        init.start_container(plan, sync_fd, keep[0] if keep else -1, hold=hold)

    keep = (infra_pidfd,) if infra_pidfd >= 0 else ()
    with ExitStack() as stack:
        pid_namespace = pid_of if pid_of >= 0 else _pid_namespace(joined, infra_pidfd, stack)
        return clone_child(
            body,
            flags=joined.new,
            cgroup_fd=cgroup_fd,
            stdio=stdio,
            keep=keep,
            join_pid=pid_namespace,
        )


def launch_exec(
    process: Mapping[str, Any], container_pidfd: int, *, cgroup_fd: int, stdio: tuple[int, int, int] | None
) -> Launched:
    """Run one more process in the namespaces of a running container.

    `process` is an OCI process object: usually the container's own with other `args` and `terminal`. `stdio` as for
    launch_container. Raises StartError (errno ESRCH when the container is gone).
    """

    def body(sync_fd: int, keep: list[int]) -> None:
        start_exec(become.plan(process), sync_fd, keep[0])

    return clone_child(
        body,
        flags=0,
        cgroup_fd=cgroup_fd,
        stdio=stdio,
        keep=(container_pidfd,),
        join_pid=container_pidfd,
    )


@functools.cache
def cgroup_mount() -> str:
    """Where the host has cgroup2; looked up once, by the spawner for all shims."""
    return os.fspath(cgroup.mount_point())


def _pid_namespace(plan: NamespacePlan, infra_pidfd: int, stack: ExitStack) -> int:
    """What to join for the child's pid namespace: a pidfd, a namespace file (closed with `stack`), or -1 for none."""
    if plan.infra & CLONE_NEWPID:
        return infra_pidfd
    for flag, path in plan.paths:
        if flag == CLONE_NEWPID:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise _start_error(Stage.NAMESPACES, error, path, f"join namespace {path}") from error
            stack.callback(os.close, fd)
            return fd
    return -1


def clone_child(
    body: Callable[[int, list[int]], None],
    *,
    flags: int = 0,
    cgroup_fd: int = -1,
    stdio: tuple[int, int, int] | None,
    keep: Sequence[int] = (),
    join_pid: int = -1,
) -> Launched:
    """A child that runs body(sync_fd, copies of `keep`), which is to end in execve. Raises StartError."""
    # Until its execve a child is a copy of the shim inside the container: nothing there may trace it.
    prctl.set_dumpable(dumpable=False)
    parent_end, child_end = sync.channel()
    mask = child.block_signals()
    home = -1
    try:
        if join_pid >= 0:
            # Its children are born there; the caller itself stays where it is, and so can wait for them.
            home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
            setns(join_pid, CLONE_NEWPID)
        pid, pidfd = clone3(flags, cgroup_fd=cgroup_fd)
        if pid == 0:
            child.run(body, sync_fd=child_end, stdio=stdio, keep=keep)
        return Launched(pid, pidfd, parent_end)
    except OSError as error:
        os.close(parent_end)
        raise _start_error(Stage.CLONE, error, "clone3", "clone3") from error
    finally:
        if home >= 0:
            setns(home, CLONE_NEWPID)
            os.close(home)
        child.restore_signals(mask)
        os.close(child_end)


_HINTS = {
    errno.EAGAIN: "the pids limit of the cgroup, or of the host, is reached",
    errno.EBUSY: "the cgroup hands out controllers to groups below it and takes no process itself",
    errno.ENODEV: "the cgroup has been removed",
    errno.ENOSPC: "the host's limit of namespaces is reached, see /proc/sys/user",
    errno.ESRCH: "it has ended",
}


def _start_error(stage: Stage, error: OSError, operand: str, what: str) -> StartError:
    code = error.errno or 0
    if hint := _HINTS.get(code):
        error.add_note(hint)
    message = f"{what}: {child.reason(error)}"
    return StartError(StartFailure(stage=stage, errno=code, operand=operand, message=message))
