"""One worker per pod UID: it alone acts on that pod, so nothing about a pod is ever done twice at once.

A worker sleeps until something happens (the Pod changed, a process ended, a delay is over), looks, decides with
the pure functions of actions.py and status/generate.py, acts through sandbox.py, reports, and sleeps again.
It keeps nothing in memory that could not be found again: a daemon that was killed adopts what it sees.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable

from minipod.api import core_v1, timestamps
from minipod.api.errors import StatusError
from minipod.api.scheme import PODS
from minipod.kubelet import events
from minipod.kubelet.admission import admit, warnings
from minipod.kubelet.backoff import MICROSECONDS
from minipod.kubelet.pods.actions import PodActions, Start, compute_pod_actions
from minipod.kubelet.pods.alarm import Alarm, Retries
from minipod.kubelet.pods.container_starter import ContainerStarter
from minipod.kubelet.pods.sandbox import PodSandbox, SandboxSetupError
from minipod.kubelet.pods.termination import grace_seconds, kill_at, running_containers, stop_containers
from minipod.kubelet.services import Services
from minipod.kubelet.status.generate import Failed
from minipod.kubelet.status.pod_reporter import PodReporter, go_duration
from minipod.kubelet.status.records import History, latest

log = logging.getLogger(__name__)

SYNC_RETRY_INITIAL = 0.5
SYNC_RETRY_MAXIMUM = 122.0
"""Seconds between tries at a sandbox that could not be made (mounts, network), as the kubelet waits for volumes."""

REPORT_AFTER = 0.1
"""Seconds after which a sync that still goes on shows how far it is; a quick one writes one status, at its end."""

LAST_WORD_PATIENCE = 5.0
"""Seconds a deletion waits for the pod's last status to be written."""

DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"

FINAL_PHASES = ("Succeeded", "Failed")


class PodWorker:
    """Brings one pod to life, keeps it as its spec says, and ends it.

    `on_done` is called once when nothing of the pod is left on this node.
    """

    def __init__(self, pod: core_v1.Pod, services: Services, on_done: Callable[[PodWorker], None]) -> None:
        self.pod = pod
        self.uid = pod.metadata.uid or ""
        self._services = services
        self._on_done = on_done
        self._alarm = Alarm(services.clock)
        self._gone = False
        self._shutdown_grace: float | None = None
        self._shut_down = asyncio.Event()
        self._over = False
        self._failed = _failure_on_record(pod)
        self._retries = Retries(services.clock, initial=SYNC_RETRY_INITIAL, maximum=SYNC_RETRY_MAXIMUM)
        self._sandbox_retries = Retries(
            services.clock, initial=SYNC_RETRY_INITIAL, maximum=SYNC_RETRY_MAXIMUM
        )
        self._sandbox_retry_at: int | None = None
        self.sandbox = PodSandbox(pod, services)
        self._starter = ContainerStarter(self.sandbox, services)
        self._reporter = PodReporter(services)
        self._task = asyncio.create_task(
            self._run(), name=f"pod-{pod.metadata.namespace}/{pod.metadata.name}"
        )

    # -- what happens ----------------------------------------------------------------------------------------------

    @property
    def current_pod(self) -> core_v1.Pod:
        """The Pod with the newest status, which the API may not have yet."""
        return self._reporter.current(self.pod)

    def histories(self) -> dict[str, History]:
        """Every container that was ever started, by name."""
        return self._reporter.histories(self.pod)

    def update(self, pod: core_v1.Pod) -> None:
        """The Pod changed in the API. A mere change of status (our own comes back) is no reason to look again."""
        news = _asked(pod) != _asked(self.pod)
        self.pod = pod
        self.sandbox.pod = pod
        if news:
            self._starter.try_again()
            self._sandbox_retry_at = None
            self._alarm.ring()

    def removed(self) -> None:
        """The Pod is no longer in the API: whatever runs must end."""
        self._gone = True
        self._alarm.ring()

    def wake(self) -> None:
        """Something happened to the pod's processes: look again."""
        self._alarm.ring()

    def images_changed(self) -> None:
        """An image arrived or left: containers that wait for one need not wait for their delay."""
        if self._starter.waiting:
            self._starter.forget_image_problems()
            self._alarm.ring()

    async def shut_down(self, grace: float | None) -> None:
        """End the pod's processes (within `grace` seconds, if given) and start none; the Pod stays in the API."""
        self._shutdown_grace = float("inf") if grace is None else grace
        self._alarm.ring()
        await self._shut_down.wait()

    async def stop(self) -> None:
        """Stop working; the pod lives on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # -- the loop --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not await self._step():
                pass
        finally:
            self._shut_down.set()
        self._on_done(self)

    async def _step(self) -> bool:
        """Look, decide, act, report; then sleep until there is a reason to do it again. True when all is over."""
        self._alarm.reset()
        heeded = self._demands
        try:
            if self._ending:
                await self._terminate()
                return True
            if self._shutdown_grace is not None:
                await self._cease()
                deadline = None
            else:
                deadline = await self._sync()
            self._retries.succeeded()
        except StatusError as error:
            deadline = self._retry_later(f"cannot sync pod: {error}")
        except Exception:
            log.exception("sync failed", extra=self._names())
            deadline = self._retry_later("internal error")
        # The wake-up for an end that was asked for meanwhile may have been spent while containers were being stopped.
        if self._demands == heeded:
            await self._alarm.sleep(deadline)
        return False

    @property
    def _ending(self) -> bool:
        return self._gone or bool(self.pod.metadata.deletionTimestamp)

    @property
    def _stopping(self) -> bool:
        return self._ending or self._shutdown_grace is not None

    @property
    def _demands(self) -> tuple[bool, bool, bool]:
        """Every way in which the pod's end has been asked for."""
        return self._gone, bool(self.pod.metadata.deletionTimestamp), self._shutdown_grace is not None

    # -- a pod that is to run --------------------------------------------------------------------------------------

    async def _sync(self) -> int | None:
        """Do all that can be done now; returns when (µs) to look again even if nothing happens."""
        if self._over or await self._was_over_before():
            return None
        self._check_limits()
        if self._failed is not None:
            await self._end()
            return None
        progress = asyncio.get_running_loop().call_later(REPORT_AFTER, self._report)
        try:
            actions = await self._act_while_possible()
        finally:
            progress.cancel()
        if self._stopping:
            return None
        self._reporter.announce(self.pod, actions.held)
        status = self._report(actions, terminal=actions.over)
        if status.phase in FINAL_PHASES:
            await self._end()
            return None
        return _earliest(
            [actions.wake_at, self._starter.wake_at, self._active_deadline(), self._sandbox_retry_at]
        )

    async def _act_while_possible(self) -> PodActions:
        while True:
            self._alarm.reset()  # what has rung it until now is what is looked at
            actions = self._decide()
            if actions.idle or self._stopping or not await self._act(actions):
                return actions

    def _decide(self) -> PodActions:
        return compute_pod_actions(
            self.pod,
            self._services.runtime.status(self.uid),
            latest(self._reporter.histories(self.pod)),
            now=self._services.clock(),
            backoff=self._services.settings.crash_loop,
        )

    async def _act(self, actions: PodActions) -> bool:
        """Carry out a decision. False when it cannot go on now (something has to be waited for)."""
        stopped = bool(actions.kill)  # then decide again in any case: what happened meanwhile rang in vain
        if actions.kill_sandbox:
            await self._drop_sandbox()
        if stopped:
            for kill in actions.kill:
                self._event(events.NORMAL, events.KILLING, kill.message, kill.name)
            await self._stop({kill.id for kill in actions.kill})
        starts = [actions.start_init] if actions.start_init else list(actions.start)
        if not starts or self._stopping:
            return stopped or actions.kill_sandbox
        if self._sandbox_retry_at and self._services.clock() < self._sandbox_retry_at:
            return stopped
        self._sandbox_retry_at = None
        try:
            started = await self._start_in_sandbox(actions, starts)
        except SandboxSetupError as error:
            self._event(events.WARNING, error.reason, error.message)
            self._sandbox_retry_at = self._sandbox_retries.failed()
            return stopped
        self._sandbox_retries.succeeded()
        return started or stopped

    async def _start_in_sandbox(self, actions: PodActions, starts: list[Start]) -> bool:
        """Containers are made while the sandbox is being connected, and started when it is."""
        if actions.create_sandbox:
            await self.sandbox.create(actions.sandbox_attempt)
        else:
            await self.sandbox.complete()
        try:
            started = await self._start(starts)
            await self.sandbox.connected()
        except SandboxSetupError:
            await self.sandbox.remove()
            raise
        return started

    async def _start(self, starts: list[Start]) -> bool:
        """Start containers side by side; True when at least one got somewhere."""
        if len(starts) == 1:
            return await self._starter.start(starts[0])
        # Every start is seen to its end: one half done and forgotten would be done twice.
        results = await asyncio.gather(*map(self._starter.start, starts), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return any(results)

    async def _drop_sandbox(self) -> None:
        """The infra process is gone: nothing of the sandbox can be kept. Its containers' ends go on record first."""
        message = "Pod sandbox changed, it will be killed and re-created."
        self._event(events.NORMAL, events.SANDBOX_CHANGED, message)
        await self._services.runtime.stop_sandbox(self.uid)
        self._report()
        await self._services.statuses.flush(self.uid)
        await self.sandbox.remove()

    def _check_limits(self) -> None:
        """Whether this node may run the pod at all, and for how long."""
        if self._failed is None and self._reporter.status is None and not self.pod.status.startTime:
            refused = admit(self.pod, self._services.settings)
            if refused:
                self._event(events.WARNING, refused.reason, refused.message)
                self._failed = Failed(refused.reason, f"Pod was rejected: {refused.message}", rejected=True)
                return
            for reason, message in warnings(self.pod, self._services.settings):
                self._event(events.WARNING, reason, message)
        deadline = self._active_deadline()
        if self._failed is None and deadline is not None and self._services.clock() >= deadline:
            self._failed = Failed(events.DEADLINE_EXCEEDED, DEADLINE_MESSAGE)
            self._event(events.NORMAL, events.DEADLINE_EXCEEDED, DEADLINE_MESSAGE)

    def _active_deadline(self) -> int | None:
        seconds = self.pod.spec.activeDeadlineSeconds
        started = self._reporter.start_time(self.pod)
        if seconds is None or not started:
            return None
        return timestamps.to_epoch_us(started) + seconds * MICROSECONDS

    # -- ends ------------------------------------------------------------------------------------------------------

    async def _was_over_before(self) -> bool:
        """A Pod that had ended before this daemon was started: what an earlier one left of it goes."""
        if self.pod.status.phase not in FINAL_PHASES or self._reporter.status is not None:
            return False
        if self.sandbox.present:
            await self.sandbox.release()
        self._over = True
        return True

    async def _end(self) -> None:
        """The pod has ended (by itself or by the kubelet): stop what runs, put it on record, let go of the rest."""
        await self._stop_all()
        self._report(terminal=True)
        await self._services.statuses.flush(self.uid)
        self._starter.clear()
        await self.sandbox.release()
        self._over = True

    async def _cease(self) -> None:
        """The node shuts down: the processes end, the Pod stays and starts again with the next daemon."""
        if not self._over:
            await self._stop_all()
            if self._services.runtime.status(self.uid) is not None:
                self._report()
                await self._services.statuses.flush(self.uid)
            await self.sandbox.remove()
        self._shut_down.set()

    async def _terminate(self) -> None:
        """The Pod is being deleted."""
        await self._stop_all()
        if not self._gone:
            self._report(terminal=True)
            # A disk too full to take the status must not keep the pod that filled it.
            await self._services.statuses.flush(self.uid, patience=LAST_WORD_PATIENCE)
        await self.sandbox.destroy()
        self._services.statuses.forget(self.uid)
        if not self._gone:
            await self._delete_from_api()

    async def _delete_from_api(self) -> None:
        meta = self.pod.metadata
        try:
            await self._services.client.delete(
                PODS, meta.name or "", meta.namespace or "", grace_period_seconds=0, uid=self.uid
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    async def _stop_all(self) -> None:
        running = running_containers(self._services, self.uid)
        for container in running:
            message = f"Stopping container {container.name}"
            self._event(events.NORMAL, events.KILLING, message, container.name)
        await self._stop({c.id for c in running})

    async def _stop(self, ids: Collection[str]) -> None:
        began = self._services.clock()

        def deadline() -> int:
            grace = grace_seconds(self.pod, gone=self._gone, limit=self._shutdown_grace)
            return kill_at(self.pod, began=began, grace=grace)

        await stop_containers(self._services, self.uid, ids, deadline=deadline, wait=self._alarm.nap)

    # -- reporting and waiting -------------------------------------------------------------------------------------

    def _report(self, actions: PodActions | None = None, *, terminal: bool = False) -> core_v1.PodStatus:
        return self._reporter.report(
            self.pod,
            actions=actions,
            waiting=self._starter.waiting,
            networked=self.sandbox.networked,
            pod_ip=self.sandbox.pod_ip,
            failed=self._failed,
            terminal=terminal,
        )

    def _event(self, type_: str, reason: str, message: str, container: str = "") -> None:
        self._services.events.pod_event(self.pod, type_, reason, message, container=container)

    def _names(self) -> dict[str, str]:
        return {"pod": f"{self.pod.metadata.namespace}/{self.pod.metadata.name}", "uid": self.uid}

    def _retry_later(self, why: str) -> int:
        at = self._retries.failed()
        delay = go_duration((at - self._services.clock()) / MICROSECONDS)
        log.warning("%s; trying again in %s", why, delay, extra=self._names())
        return at


def _asked(pod: core_v1.Pod) -> tuple[object, ...]:
    """What of a Pod a worker acts on: a change of anything else need not wake it."""
    meta = pod.metadata
    return meta.generation, meta.deletionTimestamp, meta.deletionGracePeriodSeconds


def _failure_on_record(pod: core_v1.Pod) -> Failed | None:
    """A Pod that the kubelet failed before it was restarted stays failed."""
    if pod.status.phase == "Failed" and pod.status.reason:
        return Failed(pod.status.reason, pod.status.message or "")
    return None


def _earliest(moments: Iterable[int | None]) -> int | None:
    return min((m for m in moments if m is not None), default=None)
