"""Runs the lifecycle hooks of one pod's containers, beside everything else, and tells in events how they went.

A postStart hook runs once per container, whatever becomes of the daemon: before it begins, a file named after the
container says so. One that was under way when a daemon ended counts as over, as it does for the kubelet, and an event
tells of it.
https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet import events
from minipod.kubelet.backoff import MICROSECONDS
from minipod.kubelet.pod_names import find_container
from minipod.kubelet.pods.health import Unhealthy
from minipod.kubelet.prober.handlers import HandlerResult, Outcome, Target, run_handler
from minipod.kubelet.services import Services
from minipod.kubelet.status.pod_reporter import go_duration
from minipod.runtime.types import ContainerStatus

log = logging.getLogger(__name__)

_POST_START, _PRE_STOP = "PostStart", "PreStop"

FAILED_POST_START = "FailedPostStartHook"

MAX_OUTPUT = 1024
"""Characters of a hook's output that an event shows."""

_UNDER_WAY, _OVER, _FAILED = "", "over", "failed"
"""What stands in the file of a container's postStart hook."""


@dataclass(slots=True)
class _Running:
    task: asyncio.Task[None]
    cut_short: bool = False


class Hooks:
    """`directory` holds one small file per container whose postStart hook has begun; `ring` is called at each end."""

    def __init__(self, services: Services, directory: Path, ring: Callable[[], None]) -> None:
        self._services = services
        self._directory = directory
        self._ring = ring
        self._post_start: dict[str, _Running] = {}
        self._hooked: set[str] = set()
        self._failed: set[str] = set()
        self._pre_stop: dict[str, _Running] = {}

    # -- postStart -------------------------------------------------------------------------------------------------

    def post_start(
        self, pod: core_v1.Pod, container: ContainerStatus, pod_ip: str, *, begin: bool = True
    ) -> None:
        """Begin the container's postStart hook, if it has one and it has not begun yet. Cheap to call again.

        Without `begin` it is only found out whether there is one that is not over.
        """
        id_ = container.id
        if id_ in self._hooked or id_ in self._post_start:
            return
        spec = find_container(pod, container.name)
        hook = spec.lifecycle.postStart if spec is not None and spec.lifecycle is not None else None
        if hook is None:
            self._hooked.add(id_)
            return
        before = self._read(id_)
        if before is not None:
            self._hooked.add(id_)
            self._take_over(pod, container, hook, before)
            return
        if not begin:
            return
        self._write(id_, _UNDER_WAY)
        work = self._run_post_start(pod, container, hook, pod_ip)
        task = asyncio.create_task(work, name=f"post-start-{container.name}")
        self._post_start[id_] = _Running(task)

    def hooked(self, container_id: str) -> bool:
        """Whether the container's postStart hook is over, or it has none."""
        return container_id in self._hooked

    def failure(self, container_id: str) -> Unhealthy | None:
        """Set when the postStart hook has failed: the container must end."""
        return Unhealthy(message=FAILED_POST_START) if container_id in self._failed else None

    async def _run_post_start(
        self, pod: core_v1.Pod, container: ContainerStatus, hook: core_v1.LifecycleHandler, pod_ip: str
    ) -> None:
        timeout = self._services.settings.post_start_timeout
        try:
            failed = not await self._run(_POST_START, pod, container, hook, pod_ip, timeout)
        finally:
            self._post_start.pop(container.id, None)
            self._hooked.add(container.id)
        if failed:
            self._failed.add(container.id)
        self._write(container.id, _FAILED if failed else _OVER)
        self._ring()

    def _take_over(
        self, pod: core_v1.Pod, container: ContainerStatus, hook: core_v1.LifecycleHandler, before: str
    ) -> None:
        """An earlier daemon began the hook. A failure that it did not live to act on is still one."""
        if before == _FAILED:
            self._failed.add(container.id)
        elif before == _UNDER_WAY:
            self._write(container.id, _OVER)
            why = "was cut short by the end of minipod's daemon, and is not run again"
            message = f"PostStart hook {_shown(hook)} {why}"
            self._event(pod, events.WARNING, FAILED_POST_START, message, container.name)

    def _read(self, id_: str) -> str | None:
        try:
            return (self._directory / id_).read_text()
        except FileNotFoundError:
            return None

    def _write(self, id_: str, what: str) -> None:
        try:
            self._directory.mkdir(exist_ok=True)
            (self._directory / id_).write_text(what)
        except OSError as error:
            log.warning("cannot note that a postStart hook has begun: %s", error)

    # -- preStop ---------------------------------------------------------------------------------------------------

    def pre_stop(self, pod: core_v1.Pod, container: ContainerStatus, pod_ip: str, *, until: int) -> None:
        """Begin the container's preStop hook; it is cut short by `forget`, at `until` (µs) the latest."""
        spec = find_container(pod, container.name)
        assert spec is not None
        assert spec.lifecycle is not None
        assert spec.lifecycle.preStop is not None
        timeout = max(0.0, (until - self._services.clock()) / MICROSECONDS)
        work = self._run_pre_stop(pod, container, spec.lifecycle.preStop, pod_ip, timeout)
        task = asyncio.create_task(work, name=f"pre-stop-{container.name}")
        self._pre_stop[container.id] = _Running(task)

    def pre_stop_over(self, container_id: str) -> bool:
        return container_id not in self._pre_stop

    async def _run_pre_stop(
        self,
        pod: core_v1.Pod,
        container: ContainerStatus,
        hook: core_v1.LifecycleHandler,
        pod_ip: str,
        timeout: float,  # noqa: ASYNC109 (the handler's own: what it started must be ended too)
    ) -> None:
        try:
            await self._run(_PRE_STOP, pod, container, hook, pod_ip, timeout)
        finally:
            self._pre_stop.pop(container.id, None)
        self._ring()

    # -- both ------------------------------------------------------------------------------------------------------

    async def _run(
        self,
        which: str,
        pod: core_v1.Pod,
        container: ContainerStatus,
        hook: core_v1.LifecycleHandler,
        pod_ip: str,
        timeout: float | None,  # noqa: ASYNC109
    ) -> bool:
        """Whether it succeeded. Never raises but when cancelled."""
        spec = find_container(pod, container.name)
        assert spec is not None
        name = container.name
        self._event(pod, events.NORMAL, f"{which}HookStarted", f"Started {which} hook {_shown(hook)}", name)
        began = self._services.clock()
        target = Target(pod=pod, container=spec, container_id=container.id, pod_ip=pod_ip)
        try:
            result = await run_handler(hook, target, self._services.runtime, timeout=timeout)
        except asyncio.CancelledError:
            running = (self._post_start if which == _POST_START else self._pre_stop).get(container.id)
            if running is not None and running.cut_short:
                took = go_duration((self._services.clock() - began) / MICROSECONDS)
                message = f"{which} hook {_shown(hook)} was cut short after {took}"
                self._event(pod, events.WARNING, f"Failed{which}Hook", message, name)
            raise
        except Exception as error:
            log.exception("a hook's handler failed", extra={"pod": pod.metadata.name, "container": name})
            result = HandlerResult(Outcome.FAILURE, f"internal error: {type(error).__name__}")
        took = go_duration((self._services.clock() - began) / MICROSECONDS)
        output = f": {result.output.strip()[:MAX_OUTPUT]}" if result.output.strip() else ""
        if result.outcome in (Outcome.SUCCESS, Outcome.WARNING):
            message = f"{which} hook {_shown(hook)} succeeded after {took}{output}"
            self._event(pod, events.NORMAL, f"{which}HookCompleted", message, name)
            return True
        message = f"{which} hook {_shown(hook)} failed after {took}{output}"
        self._event(pod, events.WARNING, f"Failed{which}Hook", message, name)
        return False

    def forget(self, container_id: str) -> None:
        """The container has ended or is about to be signalled: whatever hook of it still runs is cut short."""
        for running in (self._post_start.get(container_id), self._pre_stop.get(container_id)):
            if running is not None:
                running.cut_short = True
                running.task.cancel()

    def retain(self, ids: Collection[str]) -> None:
        """Only these containers run."""
        for id_ in (self._hooked | self._post_start.keys() | self._pre_stop.keys()) - set(ids):
            self.forget(id_)
            self._hooked.discard(id_)
            self._failed.discard(id_)
            if id_ not in self._post_start:
                (self._directory / id_).unlink(missing_ok=True)

    async def stop(self) -> None:
        """Let go of the hooks that run; what they started in containers ends with them."""
        tasks = [running.task for running in (*self._post_start.values(), *self._pre_stop.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _event(self, pod: core_v1.Pod, type_: str, reason: str, message: str, container: str) -> None:
        self._services.events.pod_event(pod, type_, reason, message, container=container)


def _shown(hook: core_v1.LifecycleHandler) -> str:
    """The handler as a person would name it."""
    if hook.exec is not None:
        return f"exec [{' '.join(hook.exec.command)}]"
    if hook.httpGet is not None:
        get = hook.httpGet
        return f"http-get {(get.scheme or 'HTTP').lower()}://{get.host or ''}:{get.port}{get.path or '/'}"
    if hook.tcpSocket is not None:
        return f"tcp-socket {hook.tcpSocket.host or ''}:{hook.tcpSocket.port}"
    return f"sleep {hook.sleep.seconds}s" if hook.sleep is not None else "without a handler"
