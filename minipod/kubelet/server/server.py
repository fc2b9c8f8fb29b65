"""What the API server asks of this node: logs, exec, attach, and the node's own pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from minipod.api import core_v1
from minipod.api.errors import StatusError, bad_request, internal_error
from minipod.api.timestamps import to_epoch_us
from minipod.client.node import LogRequest, ProcessStreams, ProxyRequest, ProxyResponse, StreamRequest
from minipod.kubelet.containers.container_config import exec_process, log_path
from minipod.kubelet.gc.image_collector import ImageCollector
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.server.container_lookup import choose_container, logged_attempt
from minipod.kubelet.server.logs import LogOptions, read_logs
from minipod.kubelet.server.node_pages import NodePages
from minipod.kubelet.server.pod_lookup import find_worker
from minipod.kubelet.services import Services
from minipod.kubelet.status.fates import FINAL_PHASES
from minipod.runtime.errors import RuntimeServiceError, StartError
from minipod.runtime.types import ContainerState, ContainerStatus, ExecConfig, ProcessExit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NodeServer:
    """Implements minipod.client.node.NodeConnection. `workers` is the kubelet's own map, by pod uid."""

    def __init__(
        self,
        services: Services,
        workers: Mapping[str, PodWorker],
        shut_down_pods: Callable[[float | None], Awaitable[list[core_v1.Pod]]],
        image_gc: ImageCollector,
    ) -> None:
        self._services = services
        self._workers = workers
        self._pages = NodePages(services, workers, shut_down_pods, image_gc)

    async def exec(self, request: StreamRequest) -> ProcessStreams:
        """Start a command in a running container."""
        worker = self._worker(request.namespace, request.pod)
        container = self._running(worker.current_pod, request.container, "exec into")
        config = ExecConfig(
            process=exec_process(container.labels, request.command, tty=request.tty),
            stdin=request.stdin,
            stdout=request.stdout,
            stderr=request.stderr,
            tty=request.tty,
        )
        try:
            return await self._services.runtime.exec(worker.uid, container.id, config)
        except StartError as error:
            return NeverStarted(ProcessExit(_exit_code(error), message=error.failure.message))
        except RuntimeServiceError as error:
            raise internal_error(f"error executing command in container: {error}") from error

    async def attach(self, request: StreamRequest) -> ProcessStreams:
        """Join the streams of a running container."""
        worker = self._worker(request.namespace, request.pod)
        container = self._running(worker.current_pod, request.container, "attach to")
        try:
            return await self._services.runtime.attach(worker.uid, container.id, request.stdin)
        except RuntimeServiceError as error:
            raise internal_error(f"error attaching to container: {error}") from error

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        """Check the request at once (raise), then hand back the stream."""
        worker = self._worker(request.namespace, request.pod)
        pod = worker.current_pod
        name = choose_container(pod, request.container)
        record = logged_attempt(pod, worker.histories(), name, previous=request.previous)
        path = log_path(worker.sandbox.context, name, record.attempt)
        options = LogOptions(
            timestamps=request.timestamps,
            tail=request.tail_lines,
            since=_since(request, self._services.clock()),
            limit=request.limit_bytes,
        )
        ended = None
        if request.follow and not record.exited:

            async def ended() -> None:
                await self._ended(worker.uid, record.id)

        return read_logs(path, options, ended=ended)

    async def proxy(self, request: ProxyRequest) -> ProxyResponse:
        """nodes/NAME/proxy/<path>; see node_pages.py."""
        return await self._pages.answer(request)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _worker(self, namespace: str, name: str) -> PodWorker:
        return find_worker(self._workers.values(), namespace, name)

    def _running(self, pod: core_v1.Pod, container: str, verb: str) -> ContainerStatus:
        if pod.status.phase in FINAL_PHASES:
            raise bad_request(
                f"cannot {verb} a container in a completed pod; current phase is {pod.status.phase}"
            )
        name = choose_container(pod, container)
        sandbox = self._services.runtime.status(pod.metadata.uid or "")
        for status in sandbox.containers if sandbox else ():
            if status.name == name and status.state is ContainerState.RUNNING:
                return status
        raise StatusError(404, "NotFound", f'container not found ("{name}")')

    async def _ended(self, uid: str, container_id: str) -> None:
        """Return once the container does not run any more."""
        changed = asyncio.Event()

        def look(changed_uid: str) -> None:
            if changed_uid == uid:
                changed.set()

        unsubscribe = self._services.runtime.subscribe(look)
        try:
            while self._runs(uid, container_id):
                await changed.wait()
                changed.clear()
        finally:
            unsubscribe()

    def _runs(self, uid: str, container_id: str) -> bool:
        sandbox = self._services.runtime.status(uid)
        found = sandbox.container(container_id) if sandbox else None
        return found is not None and found.state is not ContainerState.EXITED


class NeverStarted:
    """The streams of a command that could not be started: no output, and an exit that says why."""

    def __init__(self, exit_: ProcessExit) -> None:
        self._exit = exit_

    async def read(self) -> tuple[Literal["stdout", "stderr"], bytes] | None:
        return None

    async def write_stdin(self, data: bytes) -> None:
        pass

    async def close_stdin(self) -> None:
        pass

    async def resize(self, width: int, height: int) -> None:
        pass

    async def wait(self) -> ProcessExit:
        return self._exit

    async def close(self) -> None:
        pass


def _exit_code(error: StartError) -> int:
    """As shells have it: 127 for a command that is not there, 126 for one that cannot be run."""
    return 127 if error.failure.errno == 2 else 126


def _since(request: LogRequest, now: int) -> datetime | None:
    if request.since_seconds is not None:
        return _EPOCH + timedelta(microseconds=now, seconds=-request.since_seconds)
    if request.since_time:
        return _EPOCH + timedelta(microseconds=to_epoch_us(request.since_time))
    return None
