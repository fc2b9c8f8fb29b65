"""One worker per pod UID: it alone acts on that pod, so nothing about a pod is ever done twice at once.

A worker sleeps until something happens (the Pod changed, a process ended, a delay is over), looks, decides with
the pure functions of actions.py and status/generate.py, acts through sandbox.py, reports, and sleeps again.
It keeps nothing in memory that could not be found again: a daemon that was killed adopts what it sees.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from minipod.api import codec, core_v1, pod_resources, timestamps
from minipod.api.errors import StatusError
from minipod.api.scheme import PODS
from minipod.kubelet import events
from minipod.kubelet.actions import Held, PodActions, compute_pod_actions
from minipod.kubelet.admission import admit
from minipod.kubelet.backoff import MICROSECONDS, retry_delay
from minipod.kubelet.records import histories, latest
from minipod.kubelet.sandbox import PodSandbox, SandboxProblem
from minipod.kubelet.services import Services
from minipod.kubelet.status.generate import Failed, PodView, Waiting, generate_status
from minipod.runtime.types import ContainerState, ContainerStatus, SandboxState, SandboxStatus

SYNC_RETRY_INITIAL = 0.5
SYNC_RETRY_MAXIMUM = 122.0
"""Seconds between tries at a sandbox that could not be made (mounts, network), as the kubelet waits for volumes."""

DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


class PodWorker:
    """Brings one pod to life, keeps it as its spec says, and ends it.

    `on_done` is called once when nothing of the pod is left on this node.
    """

    def __init__(self, pod: core_v1.Pod, services: Services, on_done: Callable[[PodWorker], None]) -> None:
        self.pod = pod
        self.uid = pod.metadata.uid or ""
        self._services = services
        self._on_done = on_done
        self._wake = asyncio.Event()
        self._gone = False
        self._failed = _failure_on_record(pod)
        self._status: core_v1.PodStatus | None = None
        self._failures = 0
        self._sandbox_retry_at: int | None = None
        self._sandbox = PodSandbox(pod, services)
        self._announced: dict[str, int] = {}
        self._task = asyncio.create_task(
            self._run(), name=f"pod-{pod.metadata.namespace}/{pod.metadata.name}"
        )

    def update(self, pod: core_v1.Pod) -> None:
        """The Pod changed in the API."""
        self.pod = pod
        self._sandbox.pod = pod
        self._wake.set()

    def removed(self) -> None:
        """The Pod is no longer in the API: whatever runs must end."""
        self._gone = True
        self._wake.set()

    def wake(self) -> None:
        """Something happened to the pod's processes, images or node: look again."""
        self._wake.set()

    def images_changed(self) -> None:
        """An image arrived or left: containers that wait for one need not wait for their delay."""
        self._sandbox.forget_image_problems()
        self._wake.set()

    async def stop(self) -> None:
        """Stop working; the pod lives on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                if self._ending:
                    await self._terminate()
                    break
                deadline = await self._sync()
                self._failures = 0
            except StatusError as error:
                deadline = self._retry_later(f"cannot sync pod: {error}")
            except Exception:
                log.exception("sync failed", extra=self._names())
                deadline = self._retry_later("internal error")
            if not self._ending:
                await self._sleep_until(deadline)
        self._on_done(self)

    @property
    def _ending(self) -> bool:
        return self._gone or bool(self.pod.metadata.deletionTimestamp)

    # -- a pod that is to run ------------------------------------------------------------------------------------

    async def _sync(self) -> int | None:
        """Do all that can be done now; returns when (µs) to look again even if nothing happens."""
        if self.pod.status.phase in ("Succeeded", "Failed") and self._status is None:
            await self._sandbox.release()
            return None
        if self._failed is None:
            await self._check_limits()
        if self._failed is not None:
            await self._end()
            return None
        while True:
            runtime = self._services.runtime.status(self.uid)
            records = latest(histories(self._base(), runtime))
            actions = compute_pod_actions(
                self.pod,
                runtime,
                records,
                now=self._services.clock(),
                backoff=self._services.settings.crash_loop,
            )
            if actions.idle or not await self._act(actions, runtime):
                break
        self._announce_held(actions)
        status = self._report(actions)
        if status.phase in ("Succeeded", "Failed"):
            await self._end()
            return None
        return _earliest([actions.wake_at, self._sandbox.retry_at, self._deadline(), self._sandbox_retry_at])

    async def _act(self, actions: PodActions, runtime: SandboxStatus | None) -> bool:
        """Carry out a decision. False when it cannot go on now (something has to be waited for)."""
        if actions.kill_sandbox and runtime is not None:
            await self._replace_sandbox(runtime)
        if actions.create_sandbox and not await self._create_sandbox(actions):
            return False
        if actions.kill:
            for kill in actions.kill:
                self._event(events.NORMAL, events.KILLING, kill.message, kill.name)
            await self._stop_containers({kill.id for kill in actions.kill})
        starts = [actions.start_init] if actions.start_init else list(actions.start)
        progress = bool(actions.kill) or (actions.kill_sandbox and not starts)
        for start in starts:
            progress = await self._sandbox.start_container(start) or progress
        return progress

    async def _create_sandbox(self, actions: PodActions) -> bool:
        if self._sandbox_retry_at and self._services.clock() < self._sandbox_retry_at:
            return False
        self._sandbox_retry_at = None
        try:
            await self._sandbox.create(actions.sandbox_attempt)
        except SandboxProblem as problem:
            self._event(events.WARNING, problem.reason, problem.message)
            self._failures += 1
            delay = retry_delay(self._failures, initial=SYNC_RETRY_INITIAL, maximum=SYNC_RETRY_MAXIMUM)
            self._sandbox_retry_at = self._services.clock() + round(delay * MICROSECONDS)
            return False
        return True

    async def _replace_sandbox(self, runtime: SandboxStatus) -> None:
        """The infra process is gone: nothing of the sandbox can be kept. Its containers' ends go on record first."""
        self._event(
            events.NORMAL, events.SANDBOX_CHANGED, "Pod sandbox changed, it will be killed and re-created."
        )
        await self._services.runtime.stop_sandbox(self.uid)
        self._report(PodActions())
        await self._services.statuses.flush(self.uid)
        await self._sandbox.remove()

    async def _check_limits(self) -> None:
        """Whether this node may run the pod at all, and for how long."""
        if self._status is None and not self.pod.status.startTime:
            self._failed = admit(self.pod, self._services.settings)
            if self._failed:
                self._event(events.WARNING, self._failed.reason, self._failed.message)
        deadline = self._deadline()
        if self._failed is None and deadline is not None and self._services.clock() >= deadline:
            self._failed = Failed(events.DEADLINE_EXCEEDED, DEADLINE_MESSAGE)
            self._event(events.NORMAL, events.DEADLINE_EXCEEDED, DEADLINE_MESSAGE)

    def _deadline(self) -> int | None:
        seconds = self.pod.spec.activeDeadlineSeconds
        started = self._start_time()
        if seconds is None or not started:
            return None
        return timestamps.to_epoch_us(started) + seconds * MICROSECONDS

    # -- ends ----------------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        """The pod has ended (by itself or by the kubelet): stop what runs, put it on record, let go of the rest."""
        await self._stop_all()
        self._report(PodActions(), terminal=True)
        await self._services.statuses.flush(self.uid)
        await self._sandbox.release()

    async def _terminate(self) -> None:
        """The Pod is being deleted."""
        await self._stop_all()
        if not self._gone:
            self._report(PodActions(), terminal=True)
            await self._services.statuses.flush(self.uid)
        await self._sandbox.destroy()
        self._services.statuses.forget(self.uid)
        if not self._gone:
            try:
                await self._services.client.delete(
                    PODS,
                    self.pod.metadata.name or "",
                    self.pod.metadata.namespace or "",
                    grace_period_seconds=0,
                    uid=self.uid,
                )
            except StatusError as error:
                if error.code not in (404, 409):
                    raise

    async def _stop_all(self) -> None:
        running = self._running()
        for container in running:
            self._event(
                events.NORMAL, events.KILLING, f"Stopping container {container.name}", container.name
            )
        await self._stop_containers({c.id for c in running})

    async def _stop_containers(self, ids: set[str]) -> None:
        """Ask with the stop signal, wait for the grace period (a deletion may shrink it meanwhile), then kill."""
        began = self._services.clock()
        await asyncio.gather(*(self._sandbox.ask_to_stop(c) for c in self._running() if c.id in ids))
        killed = False
        while left := {c.id for c in self._running()} & ids:
            self._wake.clear()
            deadline = began + round(self._grace() * MICROSECONDS)
            if not killed and self._services.clock() >= deadline:
                await asyncio.gather(*(self._services.runtime.kill_container(self.uid, id_) for id_ in left))
                killed = True
                continue
            await self._sleep_until(None if killed else deadline)

    def _grace(self) -> float:
        """Seconds. A Pod that vanished from the API (force delete) gets at most one."""
        meta, spec = self.pod.metadata, self.pod.spec
        seconds = meta.deletionGracePeriodSeconds if meta.deletionTimestamp else None
        if seconds is None:
            seconds = (
                30 if spec.terminationGracePeriodSeconds is None else spec.terminationGracePeriodSeconds
            )
        return min(float(seconds), 1.0) if self._gone else float(seconds)

    def _running(self) -> list[ContainerStatus]:
        runtime = self._services.runtime.status(self.uid)
        return [c for c in runtime.containers if c.state is ContainerState.RUNNING] if runtime else []

    # -- reporting -----------------------------------------------------------------------------------------------

    def _report(self, actions: PodActions, *, terminal: bool = False) -> core_v1.PodStatus:
        runtime = self._services.runtime.status(self.uid)
        base = self._base()
        waiting = {name: self._crash_loop(name, held) for name, held in actions.held.items()}
        waiting.update(self._sandbox.waiting)
        view = PodView(
            histories=histories(base, runtime),
            waiting={} if terminal else waiting,
            sandbox_ready=runtime is not None
            and runtime.state is SandboxState.READY
            and self._sandbox.ready,
            failed=self._failed,
            terminal=terminal or self._failed is not None,
            pod_ip=self._sandbox.pod_ip,
            host_ip=self._services.settings.host_ip,
            qos_class=pod_resources.qos_class(self.pod),
            start_time=self._start_time() or timestamps.now(),
        )
        self._status = generate_status(base, view, now=timestamps.now())
        self._services.statuses.set(self.pod, self._status)
        return self._status

    def _base(self) -> core_v1.Pod:
        """The Pod with the newest status known here: the API's copy may still be on its way."""
        if self._status is None:
            return self.pod
        pod = codec.copy(self.pod)
        ours = {c.type for c in self._status.conditions}
        others = [c for c in pod.status.conditions if c.type not in ours]
        pod.status = codec.copy(self._status)
        pod.status.conditions = [*pod.status.conditions, *others]
        return pod

    def _start_time(self) -> str:
        known = self._status.startTime if self._status else None
        return known or self.pod.status.startTime or ""

    def _crash_loop(self, name: str, held: Held) -> Waiting:
        return Waiting(
            "CrashLoopBackOff",
            f"back-off {_go_duration(held.delay)} restarting failed container={name} pod={self._full_name()}",
        )

    def _announce_held(self, actions: PodActions) -> None:
        """One BackOff event per delay, not one per look."""
        for name, held in actions.held.items():
            if self._announced.get(name) != held.until:
                self._announced[name] = held.until
                message = f"Back-off restarting failed container {name} in pod {self._full_name()}"
                self._event(events.WARNING, events.BACK_OFF, message, name)

    def _full_name(self) -> str:
        return f"{self.pod.metadata.name}_{self.pod.metadata.namespace}({self.uid})"

    def _event(self, type_: str, reason: str, message: str, container: str = "") -> None:
        self._services.events.pod_event(self.pod, type_, reason, message, container=container)

    def _names(self) -> dict[str, str]:
        return {"pod": f"{self.pod.metadata.namespace}/{self.pod.metadata.name}", "uid": self.uid}

    # -- waiting -------------------------------------------------------------------------------------------------

    def _retry_later(self, why: str) -> int:
        self._failures += 1
        delay = retry_delay(self._failures, initial=SYNC_RETRY_INITIAL, maximum=SYNC_RETRY_MAXIMUM)
        log.warning("%s; trying again in %s", why, _go_duration(delay), extra=self._names())
        return self._services.clock() + round(delay * MICROSECONDS)

    async def _sleep_until(self, deadline: int | None) -> None:
        """Until woken, or until `deadline` (µs since the epoch)."""
        timeout = None if deadline is None else max(0.0, (deadline - self._services.clock()) / MICROSECONDS)
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            pass


log = logging.getLogger(__name__)


def _failure_on_record(pod: core_v1.Pod) -> Failed | None:
    """A Pod that the kubelet failed before it was restarted stays failed."""
    if pod.status.phase == "Failed" and pod.status.reason:
        return Failed(pod.status.reason, pod.status.message or "")
    return None


def _earliest(moments: Iterable[int | None]) -> int | None:
    return min((m for m in moments if m is not None), default=None)


def _go_duration(seconds: float) -> str:
    """10s, 1m20s, 5m0s, as Kubernetes' own messages print durations."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
