"""The runtime as its caller sees it: CRI's verbs on sandboxes and containers, answered from memory and by shims."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from minipod.runtime import adoption, removal
from minipod.runtime.channel import (
    Attach,
    CreateContainer,
    EndShim,
    Exec,
    KillContainer,
    MakeShim,
    Message,
    RemoveContainer,
    SignalContainer,
    StartContainer,
    StopSandbox,
    StreamsOpened,
)
from minipod.runtime.errors import (
    NotFoundError,
    ProtocolError,
    RuntimeServiceError,
    SandboxError,
    ShimGoneError,
    WrongStateError,
)
from minipod.runtime.handle import SandboxHandle
from minipod.runtime.logs import MAX_FILE_BYTES, MAX_FILES
from minipod.runtime.spawner_process import SpawnerProcess
from minipod.runtime.state import SandboxRecord, StateDirectory, check_cgroup, check_name
from minipod.runtime.streams import ProcessStreams, ShimStreams
from minipod.runtime.types import (
    ContainerConfig,
    ContainerStatus,
    ExecConfig,
    OverlayRootfs,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
)

log = logging.getLogger(__name__)

BIRTH_TIMEOUT = 60.0
END_TIMEOUT = 40.0
"""Seconds for a shim to kill everything and end; longer than its own bound on that."""


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
        log_max_bytes: int = MAX_FILE_BYTES,
        log_max_files: int = MAX_FILES,
    ) -> None:
        """`cgroup_root` is the cgroup2 mount; `run_dir` lies on a tmpfs, so that a reboot empties it."""
        self._pods_dir = run_dir / "pods"
        self._data_dir = data_dir
        self._cgroup_root = cgroup_root
        self._log_limits = log_max_bytes, log_max_files
        self._spawner = SpawnerProcess(python, run_dir / "spawner")
        self._handles: dict[str, SandboxHandle] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._callbacks: list[Callable[[str], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the spawner and adopt every sandbox found in the run directory, with what happened meanwhile."""
        self._pods_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._spawner.start()
        await asyncio.gather(*(self._adopt(self._pods_dir / name) for name in os.listdir(self._pods_dir)))

    async def stop(self) -> None:
        """Let go; pods live on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for handle in self._handles.values():
            handle.close()
        await self._spawner.stop()

    # -- asking ----------------------------------------------------------------------------------------------------

    def status(self, uid: str) -> SandboxStatus | None:
        handle = self._handles.get(uid)
        return handle.status if handle else None

    def sandboxes(self) -> list[SandboxStatus]:
        return [handle.status for handle in self._handles.values()]

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """`callback(uid)` after every change of a sandbox or its containers. Returns the way to unsubscribe."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def netns_path(self, uid: str) -> Path:
        """/proc/PID/ns/net of the infra process. Raises NotFoundError, WrongStateError."""
        status = self._handle(uid).status
        if status.state is not SandboxState.READY:
            raise WrongStateError(f"sandbox {uid} is not ready")
        return Path(f"/proc/{status.infra_pid}/ns/net")

    # -- sandboxes -------------------------------------------------------------------------------------------------

    async def run_sandbox(self, config: SandboxConfig) -> SandboxStatus:
        """Make a sandbox; an older one of the same uid is removed first. On an error nothing is left."""
        check_name("sandbox uid", config.uid)
        check_cgroup(config.cgroup)
        async with self._lock(config.uid):
            await self._remove(config.uid)
            try:
                handle = await self._try_to_bear(config)
            except ShimGoneError:
                # A spawner that dies takes with it what it was asked for; its successor can still do it.
                handle = await self._try_to_bear(config)
        self._changed(handle)
        return handle.status

    async def stop_sandbox(self, uid: str) -> None:
        """Kill everything in the sandbox and wait for its end; the records stay readable. Idempotent."""
        async with self._lock(uid):
            handle = self._handles.get(uid)
            if handle is None or handle.link is None:
                return
            try:
                await handle.link.request(StopSandbox())
            except ShimGoneError:
                await adoption.bury(handle)

    async def remove_sandbox(self, uid: str) -> None:
        """Stop the sandbox and leave nothing of it: processes, cgroups, records, writable layers. Idempotent."""
        async with self._lock(uid):
            await self._remove(uid)

    async def retain(self, uids: Collection[str]) -> None:
        """Remove every sandbox of uids not in `uids`, and every writable layer that belongs to no container.

        Call it once after start(), before new sandboxes are made: after a reboot such layers are all that is left.
        """
        for uid in [uid for uid in self._handles if uid not in uids]:
            await self.remove_sandbox(uid)
        kept = [layers.upper for handle in self._handles.values() for layers in handle.rootfs.values()]
        try:
            await asyncio.to_thread(removal.remove_stray_layers, self._data_dir, kept)
        except OSError as error:
            raise RuntimeServiceError(f"cannot remove left-over container layers: {error}") from error

    # -- containers ------------------------------------------------------------------------------------------------

    async def create_container(self, uid: str, config: ContainerConfig) -> ContainerStatus:
        """Put a container on record; nothing of it runs yet."""
        handle = self._handle(uid)
        link = handle.living()
        if config.rootfs.upper.exists():
            # A writable layer starts empty; one of this name can only be left from before a crash or a reboot.
            await self._remove_layers([config.rootfs])
        handle.rootfs[config.id] = config.rootfs
        try:
            await link.request(CreateContainer(config))
        except RuntimeServiceError:
            if handle.status.container(config.id) is None:
                del handle.rootfs[config.id]
            raise
        return handle.container(config.id)

    async def start_container(self, uid: str, container_id: str) -> ContainerStatus:
        """Returns once the container's own code runs. Raises StartError; the failure is then on record as an exit."""
        handle = self._handle(uid)
        handle.container(container_id)
        await handle.living().request(StartContainer(container_id))
        return handle.container(container_id)

    async def signal_container(self, uid: str, container_id: str, signum: int) -> None:
        """Send a signal to the container's first process; one that has ended is left alone."""
        await self._ask(uid, container_id, SignalContainer(container_id, int(signum)))

    async def kill_container(self, uid: str, container_id: str) -> None:
        """Kill every process of the container (cgroup.kill); its exit arrives as an event."""
        await self._ask(uid, container_id, KillContainer(container_id))

    async def remove_container(self, uid: str, container_id: str) -> None:
        """Forget a container and delete its writable layer; one that still runs is killed. Idempotent."""
        handle = self._handles.get(uid)
        if handle is None or handle.status.container(container_id) is None:
            return
        if handle.link is not None:
            await handle.link.request(RemoveContainer(container_id))
        else:
            handle.forget_container(container_id)
            handle.directory.remove_container(container_id)
            self._changed(handle)
        layers = handle.rootfs.pop(container_id, None)
        if layers is not None:
            await self._remove_layers([layers])

    async def exec(self, uid: str, container_id: str, config: ExecConfig) -> ProcessStreams:
        """Raises StartError when the command cannot be started, WrongStateError unless the container runs."""
        return await self._open_streams(uid, container_id, Exec(container_id, config))

    async def attach(self, uid: str, container_id: str, stdin: bool) -> ProcessStreams:
        """Copies of the container's output from now on, and its stdin if it has one and `stdin` asks for it."""
        return await self._open_streams(uid, container_id, Attach(container_id, stdin))

    # -- parts -----------------------------------------------------------------------------------------------------

    def _handle(self, uid: str) -> SandboxHandle:
        handle = self._handles.get(uid)
        if handle is None:
            raise NotFoundError(f"no sandbox {uid}")
        return handle

    async def _ask(self, uid: str, container_id: str, message: Message) -> None:
        """Something that is already so when the container has ended."""
        handle = self._handle(uid)
        handle.container(container_id)
        if handle.link is not None:
            await handle.link.request(message)

    async def _open_streams(self, uid: str, container_id: str, message: Message) -> ProcessStreams:
        handle = self._handle(uid)
        handle.container(container_id)
        link = handle.living()
        received = await link.request(message)
        if not isinstance(received.message, StreamsOpened):
            raise ProtocolError(f"expected StreamsOpened, got {type(received.message).__name__}")
        fds = dict(zip(received.message.roles, received.fds, strict=True))
        return ShimStreams(link, received.message.streams_id, fds)

    async def _adopt(self, path: Path) -> None:
        directory = StateDirectory(path)
        record = directory.read_sandbox()
        if record is None:
            removal.remove_directory(path)  # nothing is made before its record is written
            return
        handle = self._new_handle(record, directory)
        try:
            if await adoption.adopt(handle):
                self._changed(handle)
                return
            log.info("removing a sandbox whose making was interrupted", extra={"uid": handle.uid})
            await self._remove(handle.uid)
        except (OSError, RuntimeServiceError) as error:
            # It stays known, as not ready: whoever it belongs to will have it removed, and may succeed then.
            log.error("cannot adopt a sandbox: %s", error, extra={"uid": handle.uid})
            handle.bury(replace(record, state=SandboxState.NOT_READY), directory.read_containers())

    def _new_handle(self, record: SandboxRecord, directory: StateDirectory) -> SandboxHandle:
        handle = SandboxHandle(record, directory, on_change=self._changed, on_lost=self._lost)
        self._handles[handle.uid] = handle
        return handle

    async def _try_to_bear(self, config: SandboxConfig) -> SandboxHandle:
        try:
            return await self._bear(config)
        except BaseException as error:
            await self._remove(config.uid)
            if isinstance(error, TimeoutError):
                raise SandboxError(f"cannot create sandbox: not made within {BIRTH_TIMEOUT:g} s") from error
            if isinstance(error, OSError):
                raise SandboxError(f"cannot create sandbox: {error}") from error
            raise

    async def _bear(self, config: SandboxConfig) -> SandboxHandle:
        """Put on record that there will be a sandbox, and have a shim make it."""
        directory = StateDirectory(self._pods_dir / config.uid)
        created_at = time.time_ns() // 1000
        record = SandboxRecord(config, self._cgroup_root / config.cgroup, created_at)
        directory.make()
        directory.write_sandbox(record)
        handle = self._new_handle(record, directory)
        message = MakeShim(config, directory.path, self._cgroup_root, created_at, *self._log_limits)
        near, far = socket.socketpair()
        handle.open_link(near)
        self._spawner.make_shim(message, far.detach())
        async with asyncio.timeout(BIRTH_TIMEOUT):
            await handle.birth()
        return handle

    async def _remove(self, uid: str) -> None:
        handle = self._handles.get(uid)
        if handle is None:
            return
        try:
            await self._end(handle)
            if not removal.remove_cgroup_now(handle.cgroup):
                await asyncio.to_thread(removal.remove_cgroup, handle.cgroup)
            await self._remove_layers(list(handle.rootfs.values()))
            removal.remove_directory(handle.directory.path)
        except OSError as error:
            raise RuntimeServiceError(f"cannot remove sandbox {uid}: {error}") from error
        handle.close()
        del self._handles[uid]
        self._changed(handle)

    async def _end(self, handle: SandboxHandle) -> None:
        """The shim and everything below it."""
        handle.ending = True
        if handle.link is None:
            return
        try:
            async with asyncio.timeout(END_TIMEOUT):
                await handle.link.request(EndShim())
                await handle.shim_ended()
        except (TimeoutError, ShimGoneError):
            await adoption.bury(handle)

    async def _remove_layers(self, layers: list[OverlayRootfs]) -> None:
        if not layers:
            return
        try:
            await asyncio.to_thread(removal.remove_layers, layers, self._data_dir)
        except OSError as error:
            raise RuntimeServiceError(f"cannot remove a container's writable layer: {error}") from error

    def _changed(self, handle: SandboxHandle) -> None:
        for callback in list(self._callbacks):
            callback(handle.uid)

    def _lost(self, handle: SandboxHandle) -> None:
        task = asyncio.create_task(self._recover(handle))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _recover(self, handle: SandboxHandle) -> None:
        async with self._lock(handle.uid):
            if self._handles.get(handle.uid) is handle and (handle.link is None or handle.link.closed):
                await adoption.recover(handle)
                self._changed(handle)

    def _lock(self, uid: str) -> asyncio.Lock:
        """Births, ends and recoveries of one sandbox happen one after the other."""
        return self._locks.setdefault(uid, asyncio.Lock())
