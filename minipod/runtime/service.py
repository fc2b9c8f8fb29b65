"""The runtime as its caller sees it: CRI's verbs on sandboxes and containers, answered from memory and by shims."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path

from minipod.runtime.streams import ProcessStreams
from minipod.runtime.types import ContainerConfig, ContainerStatus, ExecConfig, SandboxConfig, SandboxStatus


class RuntimeService:
    """Sandboxes and containers below one run directory.

    One object per daemon. `status` and `sandboxes` answer at once from memory, which shims keep true by events.
    Methods raise RuntimeServiceError (see errors.py).
    """

    def __init__(
        self,
        *,
        run_dir: Path,
        data_dir: Path,
        cgroup_root: Path,
        python: str = sys.executable,
        log_max_bytes: int = 10 * 1024 * 1024,
        log_max_files: int = 5,
    ) -> None:
        """`cgroup_root` is the cgroup2 mount; `run_dir` lies on a tmpfs, so that a reboot empties it."""

    async def start(self) -> None:
        """Start the spawner and adopt every sandbox found in the run directory, with what happened meanwhile."""

    async def stop(self) -> None:
        """Let go; pods live on."""

    def status(self, uid: str) -> SandboxStatus | None: ...

    def sandboxes(self) -> list[SandboxStatus]: ...

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """`callback(uid)` after every change of a sandbox or its containers. Returns the way to unsubscribe."""

    def netns_path(self, uid: str) -> Path:
        """/proc/PID/ns/net of the infra process. Raises NotFoundError, WrongStateError."""

    async def run_sandbox(self, config: SandboxConfig) -> SandboxStatus:
        """Make a sandbox; an older one of the same uid is removed first. On an error nothing is left."""

    async def stop_sandbox(self, uid: str) -> None:
        """Kill everything in the sandbox and wait for its end; the records stay readable. Idempotent."""

    async def remove_sandbox(self, uid: str) -> None:
        """Stop the sandbox and leave nothing of it: processes, cgroups, records, writable layers. Idempotent."""

    async def retain(self, uids: Collection[str]) -> None:
        """Remove every sandbox, and every writable layer a reboot left behind, of uids not in `uids`."""

    async def create_container(self, uid: str, config: ContainerConfig) -> ContainerStatus: ...

    async def start_container(self, uid: str, container_id: str) -> ContainerStatus:
        """Returns once the container's own code runs. Raises StartError; the failure is then on record as an exit."""

    async def signal_container(self, uid: str, container_id: str, signum: int) -> None:
        """Send a signal to the container's first process; one that has ended is left alone."""

    async def kill_container(self, uid: str, container_id: str) -> None:
        """Kill every process of the container (cgroup.kill); its exit arrives as an event."""

    async def remove_container(self, uid: str, container_id: str) -> None:
        """Forget an ended container and delete its writable layer (one that still runs is killed). Idempotent."""

    async def exec(self, uid: str, container_id: str, config: ExecConfig) -> ProcessStreams:
        """Raises StartError when the command cannot be started, WrongStateError unless the container runs."""

    async def attach(self, uid: str, container_id: str, stdin: bool) -> ProcessStreams:
        """Copies of the container's output from now on, and its stdin if it has one and `stdin` asks for it."""
