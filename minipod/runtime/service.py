"""The runtime as its caller sees it: CRI's verbs on sandboxes and containers, answered from memory and by shims."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from minipod.linux.rlimit import Limit
from minipod.runtime import removal
from minipod.runtime.containers import Containers
from minipod.runtime.errors import RuntimeServiceError, WrongStateError
from minipod.runtime.logs import MAX_FILE_BYTES, MAX_FILES
from minipod.runtime.removal_threads import RemovalThreads
from minipod.runtime.sandboxes import Sandboxes
from minipod.runtime.spawner_process import SpawnerProcess
from minipod.runtime.state import check_cgroup, check_name
from minipod.runtime.streams import ProcessStreams
from minipod.runtime.types import (
    ContainerConfig,
    ContainerStatus,
    ExecConfig,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
)


class RuntimeService:
    """Sandboxes and containers below one run directory.

    One object per daemon. `status` and `sandboxes` answer at once from memory, which shims keep true by events.
    The kubelet removes a pod's files on the same threads, `removals`.
    Methods raise RuntimeServiceError (see errors.py).
    """

    def __init__(
        self,
        *,
        run_dir: Path,
        data_dir: Path,
        cgroup_root: Path,
        python: str = sys.executable,
        log_max_bytes: int = MAX_FILE_BYTES,
        log_max_files: int = MAX_FILES,
        log_journal: bool = False,
        open_files: Limit | None = None,
    ) -> None:
        """`cgroup_root` is the cgroup2 mount; `run_dir` lies on a tmpfs, so that a reboot empties it.

        `log_journal`: what containers write goes to systemd's journal, too.
        `open_files`: what pods inherit as RLIMIT_NOFILE; None: the caller's own.
        """
        self._data_dir = data_dir
        self._callbacks: list[Callable[[str], None]] = []
        self.removals = RemovalThreads()
        self._spawner = SpawnerProcess(python, run_dir / "spawner", open_files)
        self._sandboxes = Sandboxes(
            pods_dir=run_dir / "pods",
            data_dir=data_dir,
            cgroup_root=cgroup_root,
            log_limits=(log_max_bytes, log_max_files),
            log_journal=log_journal,
            spawner=self._spawner,
            removals=self.removals,
            on_change=self._changed,
        )
        self._containers = Containers(self._sandboxes, self._changed)

    async def start(self) -> None:
        """Start the spawner and adopt every sandbox found in the run directory, with what happened meanwhile."""
        self._spawner.start()
        await self._sandboxes.adopt_all()

    async def stop(self) -> None:
        """Let go; pods live on."""
        await self._sandboxes.let_go()
        await self._spawner.stop()
        await self.removals.stop()

    # -- asking ----------------------------------------------------------------------------------------------------

    def status(self, uid: str) -> SandboxStatus | None:
        handle = self._sandboxes.handles.get(uid)
        return handle.status if handle else None

    def sandboxes(self) -> list[SandboxStatus]:
        return [handle.status for handle in self._sandboxes.handles.values()]

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """`callback(uid)` after every change of a sandbox or its containers. Returns the way to unsubscribe."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def netns_path(self, uid: str) -> Path:
        """/proc/PID/ns/net of the infra process. Raises NotFoundError, WrongStateError."""
        status = self._sandboxes.get(uid).status
        if status.state is not SandboxState.READY:
            raise WrongStateError(f"sandbox {uid} is not ready")
        return Path(f"/proc/{status.infra_pid}/ns/net")

    # -- sandboxes -------------------------------------------------------------------------------------------------

    async def run_sandbox(self, config: SandboxConfig) -> SandboxStatus:
        """Make a sandbox; an older one of the same uid is removed first. On an error nothing is left."""
        check_name("sandbox uid", config.uid)
        check_cgroup(config.cgroup)
        return (await self._sandboxes.bear(config)).status

    async def stop_sandbox(self, uid: str) -> None:
        """Kill everything in the sandbox and wait for its end; the records stay readable. Idempotent."""
        await self._sandboxes.stop(uid)

    async def remove_sandbox(self, uid: str) -> None:
        """Stop the sandbox and leave nothing of it: processes, cgroups, records, writable layers. Idempotent."""
        await self._sandboxes.remove(uid)

    async def retain(self, uids: Collection[str]) -> None:
        """Remove every sandbox of uids not in `uids`, and every writable layer that belongs to no container.

        Call it once after start(), before new sandboxes are made: after a reboot such layers are all that is left.
        """
        for uid in [uid for uid in self._sandboxes.handles if uid not in uids]:
            await self.remove_sandbox(uid)
        kept = [
            layers.upper for handle in self._sandboxes.handles.values() for layers in handle.rootfs.values()
        ]
        try:
            await self.removals.run(removal.remove_stray_layers, self._data_dir, kept)
        except OSError as error:
            raise RuntimeServiceError(f"cannot remove left-over container layers: {error}") from error

    # -- containers ------------------------------------------------------------------------------------------------

    async def create_container(self, uid: str, config: ContainerConfig) -> ContainerStatus:
        """Get a container's process ready; nothing of the container runs yet.

        What goes wrong with getting it ready is told by start_container.
        """
        return await self._containers.create(uid, config)

    async def start_container(self, uid: str, container_id: str) -> ContainerStatus:
        """Returns once the container's own code runs. Raises StartError; the failure is then on record as an exit."""
        return await self._containers.start(uid, container_id)

    async def signal_container(self, uid: str, container_id: str, signum: int) -> None:
        """Send a signal to the container's first process; one that has ended is left alone."""
        await self._containers.signal(uid, container_id, signum)

    async def kill_container(self, uid: str, container_id: str) -> None:
        """Kill every process of the container (cgroup.kill); its exit arrives as an event."""
        await self._containers.kill(uid, container_id)

    async def remove_container(self, uid: str, container_id: str) -> None:
        """Forget a container and delete its writable layer; one that still runs is killed. Idempotent."""
        await self._containers.remove(uid, container_id)

    async def update_container(
        self,
        uid: str,
        container_id: str,
        files: Mapping[str, str],
        *,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Write cgroup v2 files (name -> value) of a running container, e.g. {"memory.max": "1048576"}.

        They are written in the order given; at the first that is refused (RuntimeServiceError naming file and value)
        those before it are set back. Then ContainerStatus.resources has them, and `labels` are merged into the
        container's labels; both survive this daemon. Without `files` only the labels change, also when it has ended.
        """
        await self._containers.update(uid, container_id, files, labels or {})

    async def update_sandbox(self, uid: str, files: Mapping[str, str]) -> None:
        """The same for the pod's own cgroup: SandboxStatus.resources. Raise the pod's limits before its containers'."""
        await self._sandboxes.update(uid, files)

    async def exec(self, uid: str, container_id: str, config: ExecConfig) -> ProcessStreams:
        """Raises StartError when the command cannot be started, WrongStateError unless the container runs."""
        return await self._containers.exec(uid, container_id, config)

    async def attach(self, uid: str, container_id: str, stdin: bool) -> ProcessStreams:
        """Copies of the container's output from now on, and its stdin if it has one and `stdin` asks for it."""
        return await self._containers.attach(uid, container_id, stdin)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _changed(self, uid: str) -> None:
        for callback in list(self._callbacks):
            callback(uid)
