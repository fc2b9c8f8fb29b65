"""Start the processes of a pod: the infra process, a container, a command in a running container.

Called in a shim, which is single-threaded and in the host's pid, net, ipc, uts and cgroup namespaces. Each call is one
clone3 straight into the target cgroup and returns at once; what the child has to say follows on `sync_fd`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minipod.runtime.types import OverlayRootfs, SandboxConfig, StartFailure, SubPathMount, TmpfsMount

PAUSE = Path(__file__).with_name("pause-x86_64")


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
    raise NotImplementedError


def mount_tmpfs(mount: TmpfsMount) -> None:
    """Mount a sandbox's tmpfs in the shim's mount namespace, making its directory; raises OSError."""
    raise NotImplementedError


def launch_infra(
    config: SandboxConfig, *, cgroup_fd: int, oom_score_adj: int | None = None, pause: Path = PAUSE
) -> Launched:
    """Start the infra process, which holds the pod's network, ipc and uts namespaces and the pid one when shared.

    `config.network` POD makes new net and uts namespaces (NODE: the host's), `config.ipc` POD a new ipc one,
    `config.pid` POD a new pid namespace whose init the infra process is. The child sets hostname and sysctls and
    brings lo up before it gives up all rights. `cgroup_fd` is a directory descriptor of the leaf cgroup it lives in.
    Raises OSError when clone3 fails.
    """
    raise NotImplementedError


def launch_container(
    oci: Mapping[str, Any],
    rootfs: OverlayRootfs,
    *,
    cgroup_fd: int,
    stdio: tuple[int, int, int] | None,
    subpaths: Sequence[SubPathMount] = (),
    infra_pid: int = 0,
    infra_pidfd: int = -1,
) -> Launched:
    """Start a container from its OCI runtime-spec document.

    `linux.namespaces` decides: a type without a path is new, with a path it is joined, a type not listed is the
    shim's (the host's). A path /proc/<infra_pid>/ns/... is joined through `infra_pidfd`, so that a reused pid number
    cannot be hit. `stdio` are the descriptors of stdin, stdout and stderr; None when process.terminal is true: then the
    child opens a terminal of its own devpts and sends the master (ConsoleReady). `rootfs.upper` and `.work` are made
    when missing. Mount sources that equal a SubPathMount's target are taken from there; the target need not exist.
    Raises OSError when clone3 or joining the pid namespace fails.
    """
    raise NotImplementedError


def launch_exec(
    process: Mapping[str, Any], container_pidfd: int, *, cgroup_fd: int, stdio: tuple[int, int, int] | None
) -> Launched:
    """Run one more process in the namespaces of a running container.

    `process` is an OCI process object: usually the container's own with other `args` and `terminal`. `stdio` as for
    launch_container. Raises OSError (ESRCH when the container is gone).
    """
    raise NotImplementedError


def exit_code(failure: StartFailure) -> int:
    """The code Kubernetes and shells report for a start that failed: 127 not found, 126 not executable, else 128."""
    raise NotImplementedError
