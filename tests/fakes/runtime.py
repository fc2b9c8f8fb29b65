"""A runtime without processes: it keeps the records a real one would, and ends containers when a test says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from minipod.runtime.errors import SandboxError, StartError
from minipod.runtime.removal_threads import RemovalThreads
from minipod.runtime.types import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    ExitRecord,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
    StartFailure,
)


class FakeRuntime:
    """`calls` are the verbs in order, `moments` their times; `fail` makes a verb raise once, `broken` always.

    `obedient` containers end on any signal. `now` (µs) is the time of all that happens to them.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.moments: list[float] = []
        self.fail: dict[str, Exception] = {}
        self.broken: dict[str, Exception] = {}
        self.obedient = True
        self.removals = RemovalThreads()
        self.gate: asyncio.Event | None = None
        """When set, run_sandbox waits for it."""
        self._sandboxes: dict[str, SandboxStatus] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self.now = 1_790_000_000_000_000

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def status(self, uid: str) -> SandboxStatus | None:
        return self._sandboxes.get(uid)

    def netns_path(self, uid: str) -> Path:
        return Path(f"/proc/{uid}/ns/net")

    async def run_sandbox(self, config: SandboxConfig) -> SandboxStatus:
        self._called("run_sandbox")
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        found = SandboxStatus(
            uid=config.uid,
            name=config.name,
            namespace=config.namespace,
            attempt=config.attempt,
            state=SandboxState.READY,
            created_at=self.now,
            shim_pid=1,
            infra_pid=2,
            cgroup=config.cgroup,
            resources=config.resources,
        )
        self._sandboxes[config.uid] = found
        return found

    async def stop_sandbox(self, uid: str) -> None:
        self._called("stop_sandbox")
        for container in self._sandboxes[uid].containers if uid in self._sandboxes else ():
            self.end(uid, container.name, 137)

    async def remove_sandbox(self, uid: str) -> None:
        self._called("remove_sandbox")
        self._sandboxes.pop(uid, None)

    async def create_container(self, uid: str, config: ContainerConfig) -> ContainerStatus:
        self._called(f"create {config.name}")
        found = ContainerStatus(
            id=config.id,
            name=config.name,
            attempt=config.attempt,
            state=ContainerState.CREATED,
            created_at=self.now,
            log_path=config.log_path,
            labels=config.labels,
        )
        sandbox = self._sandboxes[uid]
        self._sandboxes[uid] = replace(sandbox, containers=(*sandbox.containers, found))
        return found

    async def start_container(self, uid: str, container_id: str) -> ContainerStatus:
        name = next(c.name for c in self._sandboxes[uid].containers if c.id == container_id)
        try:
            self._called(f"start {name}")
        except StartError as error:
            self._change(
                uid, container_id, state=ContainerState.EXITED, failure=error.failure, exit=self._exit(127)
            )
            raise
        await asyncio.sleep(0)
        return self._change(uid, container_id, state=ContainerState.RUNNING, started_at=self.now, pid=3)

    async def signal_container(self, uid: str, container_id: str, signum: int) -> None:
        self._called(f"signal {signum}")
        if self.obedient:
            self._end_soon(uid, container_id, 0)

    async def kill_container(self, uid: str, container_id: str) -> None:
        self._called("kill")
        self._end_soon(uid, container_id, 137)

    async def remove_container(self, uid: str, container_id: str) -> None:
        self._called("remove_container")
        sandbox = self._sandboxes[uid]
        left = tuple(c for c in sandbox.containers if c.id != container_id)
        self._sandboxes[uid] = replace(sandbox, containers=left)

    # -- what a test does to it ------------------------------------------------------------------------------------

    def end(self, uid: str, name: str, code: int) -> None:
        """The container's process ends by itself."""
        for container in self._sandboxes[uid].containers:
            if container.name == name and container.state is ContainerState.RUNNING:
                self._end_id(uid, container.id, code)

    def kill_infra(self, uid: str, *, alone: bool = False) -> None:
        """The infra process dies, and all containers with it; `alone`: their ends are not known yet."""
        for container in () if alone else self._sandboxes[uid].containers:
            self.end(uid, container.name, 137)
        self._sandboxes[uid] = replace(self._sandboxes[uid], state=SandboxState.NOT_READY)
        self._changed(uid)

    def _end_id(self, uid: str, container_id: str, code: int) -> None:
        self._change(uid, container_id, state=ContainerState.EXITED, exit=self._exit(code), pid=0)

    def _end_soon(self, uid: str, container_id: str, code: int) -> None:
        """As with real processes, the end comes after the answer."""
        asyncio.get_running_loop().call_later(0.001, self._end_id, uid, container_id, code)

    def _exit(self, code: int) -> ExitRecord:
        return ExitRecord(code=code, started_at=self.now, finished_at=self.now + 1)

    def _change(self, uid: str, container_id: str, **changes: object) -> ContainerStatus:
        sandbox = self._sandboxes[uid]
        found = next(c for c in sandbox.containers if c.id == container_id)
        changed = replace(found, **changes)  # type: ignore[arg-type]
        containers = tuple(changed if c.id == container_id else c for c in sandbox.containers)
        self._sandboxes[uid] = replace(sandbox, containers=containers)
        self._changed(uid)
        return changed

    def _changed(self, uid: str) -> None:
        for callback in list(self._callbacks):
            callback(uid)

    def _called(self, verb: str) -> None:
        self.calls.append(verb)
        self.moments.append(time.monotonic())
        if verb in self.broken:
            raise self.broken[verb]
        if verb in self.fail:
            raise self.fail.pop(verb)


def no_such_file(path: str) -> StartError:
    failure = StartFailure(
        stage="exec", errno=2, operand=path, message=f"exec {path}: no such file or directory"
    )
    return StartError(failure)


def sub_path_outside(subpath: str, volume: Path) -> StartError:
    message = f"subPath {subpath!r} of volume {volume}: it leads outside the volume"
    return StartError(StartFailure(stage="subPath", errno=0, operand=subpath, message=message))


def sandbox_trouble() -> SandboxError:
    return SandboxError("cannot create sandbox: out of luck")
