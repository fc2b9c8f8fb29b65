"""What starts processes for a shim, as an interface: the module launch, or what stands in for it in a rehearsal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from minipod.runtime.launch import Launched
from minipod.runtime.types import OverlayRootfs, SandboxConfig, SubPathMount, TmpfsMount


class Launcher(Protocol):
    """See minipod.runtime.launch for what each one does; all raise StartError, mount_tmpfs OSError."""

    def mount_tmpfs(self, mount: TmpfsMount) -> None: ...

    def launch_infra(self, config: SandboxConfig, *, cgroup_fd: int) -> Launched: ...

    def launch_container(
        self,
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
    ) -> Launched: ...

    def launch_exec(
        self,
        process: Mapping[str, Any],
        container_pidfd: int,
        *,
        cgroup_fd: int,
        stdio: tuple[int, int, int] | None,
    ) -> Launched: ...
