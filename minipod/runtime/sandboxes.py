"""Every sandbox a daemon knows: how they are born, adopted, recovered and taken away.

What happens to one sandbox happens one thing after the other (its lock); different ones do not wait for each other.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from minipod.runtime import adoption, removal
from minipod.runtime.channel import EndShim, MakeShim, StopSandbox, UpdateSandbox
from minipod.runtime.errors import NotFoundError, RuntimeServiceError, SandboxError, ShimGoneError
from minipod.runtime.handle import SandboxHandle
from minipod.runtime.removal_threads import RemovalThreads
from minipod.runtime.spawner_process import SpawnerProcess
from minipod.runtime.state import SandboxRecord, StateDirectory
from minipod.runtime.types import OverlayRootfs, SandboxConfig, SandboxState

log = logging.getLogger(__name__)

BIRTH_TIMEOUT = 60.0
END_TIMEOUT = 40.0
"""Seconds for a shim to kill everything and end; longer than its own bound on that."""


class Sandboxes:
    """`on_change(uid)` after every change of a sandbox. Methods raise RuntimeServiceError."""

    def __init__(
        self,
        *,
        pods_dir: Path,
        data_dir: Path,
        cgroup_root: Path,
        log_limits: tuple[int, int],
        log_journal: bool,
        spawner: SpawnerProcess,
        removals: RemovalThreads,
        on_change: Callable[[str], None],
    ) -> None:
        """`log_limits`: bytes per file, files. `log_journal`: output goes to systemd's journal, too."""
        self.handles: dict[str, SandboxHandle] = {}
        self._pods_dir = pods_dir
        self._data_dir = data_dir
        self._cgroup_root = cgroup_root
        self._log_limits = log_limits
        self._log_journal = log_journal
        self._spawner = spawner
        self._removals = removals
        self._on_change = on_change
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._recoveries: set[asyncio.Task[None]] = set()

    def get(self, uid: str) -> SandboxHandle:
        """Raises NotFoundError."""
        handle = self.handles.get(uid)
        if handle is None:
            raise NotFoundError(f"no sandbox {uid}")
        return handle

    async def adopt_all(self) -> None:
        """Find again what an earlier daemon made."""
        self._pods_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        await asyncio.gather(*(self._adopt(self._pods_dir / name) for name in os.listdir(self._pods_dir)))

    async def let_go(self) -> None:
        """Hang up everywhere; pods live on."""
        for recovery in self._recoveries:
            recovery.cancel()
        await asyncio.gather(*self._recoveries, return_exceptions=True)
        for handle in self.handles.values():
            handle.close()

    async def bear(self, config: SandboxConfig) -> SandboxHandle:
        """Make a sandbox in the place of an older one of the same uid. On an error nothing is left."""
        async with self._lock(config.uid):
            await self._remove(config.uid)
            try:
                handle = await self._try_to_bear(config)
            except ShimGoneError:
                # A spawner that dies takes with it what it was asked for; its successor can still do it.
                handle = await self._try_to_bear(config)
        self._changed(handle)
        return handle

    async def stop(self, uid: str) -> None:
        """Kill everything in the sandbox and wait for its end; the records stay."""
        async with self._lock(uid):
            handle = self.handles.get(uid)
            if handle is None or handle.link is None:
                return
            try:
                await handle.link.request(StopSandbox())
            except ShimGoneError:
                await adoption.bury(handle)

    async def update(self, uid: str, files: Mapping[str, str]) -> None:
        """Write files of the pod's own cgroup."""
        await self.get(uid).living().request(UpdateSandbox(files))

    async def remove(self, uid: str) -> None:
        """Leave nothing of the sandbox. Idempotent."""
        async with self._lock(uid):
            await self._remove(uid)

    async def remove_layers(self, layers: list[OverlayRootfs], *, others: bool = True) -> None:
        """Delete containers' writable layers and, with `others`, what was laid beside them for these attempts."""
        if not layers:
            return
        remove = removal.remove_attempts if others else removal.remove_layers
        try:
            await self._removals.run(remove, layers, self._data_dir)
        except OSError as error:
            raise RuntimeServiceError(f"cannot remove a container's writable layer: {error}") from error

    # -- parts -----------------------------------------------------------------------------------------------------

    async def _adopt(self, path: Path) -> None:
        directory = StateDirectory(path)
        record = directory.read_sandbox()
        if record is None:
            removal.remove_directory(path)  # nothing is made before its record is written
            return
        handle = self._new_handle(record, directory)
        async with self._lock(handle.uid):
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
        self.handles[handle.uid] = handle
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
        message = MakeShim(
            config, directory.path, self._cgroup_root, created_at, *self._log_limits, self._log_journal
        )
        near, far = socket.socketpair()
        handle.open_link(near)
        self._spawner.make_shim(message, far.detach())
        async with asyncio.timeout(BIRTH_TIMEOUT):
            await handle.birth()
        return handle

    async def _remove(self, uid: str) -> None:
        handle = self.handles.get(uid)
        if handle is None:
            return
        try:
            await self._end(handle)
            if not removal.remove_cgroup_now(handle.cgroup):
                await asyncio.to_thread(removal.remove_cgroup, handle.cgroup)
            await self.remove_layers(list(handle.rootfs.values()))
            removal.remove_directory(handle.directory.path)
        except OSError as error:
            raise RuntimeServiceError(f"cannot remove sandbox {uid}: {error}") from error
        handle.close()
        del self.handles[uid]
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

    def _changed(self, handle: SandboxHandle) -> None:
        self._on_change(handle.uid)

    def _lost(self, handle: SandboxHandle) -> None:
        task = asyncio.create_task(self._recover(handle))
        self._recoveries.add(task)
        task.add_done_callback(self._recoveries.discard)

    async def _recover(self, handle: SandboxHandle) -> None:
        async with self._lock(handle.uid):
            if self.handles.get(handle.uid) is handle and (handle.link is None or handle.link.closed):
                await adoption.recover(handle)
                self._changed(handle)

    def _lock(self, uid: str) -> asyncio.Lock:
        """Births, ends and recoveries of one sandbox happen one after the other."""
        return self._locks.setdefault(uid, asyncio.Lock())
