"""One worker per pod UID: it alone acts on that pod, so nothing about a pod is ever done twice at once.

A worker sleeps until something happens (the Pod changed, a process or a hook ended, a probe's result changed, a
delay is over), looks (observer.py), decides with the pure functions of actions.py, acts (pod_starter.py, stopper.py),
reports, and sleeps again. It keeps nothing in memory that could not be found again: a daemon that was killed adopts
what it sees.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from minipod.api import core_v1, timestamps
from minipod.api.errors import StatusError
from minipod.kubelet import events
from minipod.kubelet.backoff import MICROSECONDS
from minipod.kubelet.pods.actions import Kill, PodActions, compute_pod_actions
from minipod.kubelet.pods.alarm import Alarm, Retries, earliest, what_wakes
from minipod.kubelet.pods.container_starter import ContainerStarter
from minipod.kubelet.pods.finisher import End, Finisher
from minipod.kubelet.pods.limits import active_deadline, judge
from minipod.kubelet.pods.observer import Observation, Observer
from minipod.kubelet.pods.pod_starter import SYNC_RETRY_INITIAL, SYNC_RETRY_MAXIMUM, PodStarter
from minipod.kubelet.pods.resize import RESTART_MESSAGE
from minipod.kubelet.pods.resizer import Resizer
from minipod.kubelet.pods.restart_policy import is_no_habit
from minipod.kubelet.pods.sandbox import PodSandbox
from minipod.kubelet.pods.stopper import Stopper
from minipod.kubelet.pods.verdict import Verdict, recall, record
from minipod.kubelet.services import Services
from minipod.kubelet.status.fates import FINAL_PHASES
from minipod.kubelet.status.generate import Failed
from minipod.kubelet.status.pod_reporter import PodReporter, go_duration
from minipod.kubelet.status.records import History, latest
from minipod.runtime.types import SandboxState, SandboxStatus

log = logging.getLogger(__name__)

REPORT_AFTER = 0.1
"""Seconds after which a sync that still goes on shows how far it is; a quick one writes one status, at its end."""


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
        self._shutting_down = False
        self._ended = asyncio.Event()
        self.first_sync = asyncio.Event()
        """Set once the first sync is over: what could be started at once has been."""
        self._completed = False
        """Nothing of the pod is to run again."""
        self._seen_to = End.NONE
        """Which end has been seen to: the last status is written, its room is free."""
        self._decision: PodActions | None = None
        """The last one that was reported: who is held back is so until it has been started."""
        self._restarts: dict[str, str] = {}
        """Containers a user has asked to restart, by name, and the id of the attempt that is to be replaced."""
        self._unwell: set[str] = set()
        """Ids of latest attempts that were killed to be replaced: their end is no success."""
        self._retries = Retries(services.clock, initial=SYNC_RETRY_INITIAL, maximum=SYNC_RETRY_MAXIMUM)
        self.sandbox = PodSandbox(pod, services)
        verdict = recall(pod, self.sandbox.context.shared_dir)
        self._failed = verdict.failed if verdict else None
        self._grace_limit = verdict.left(services.clock()) if verdict else None
        """Seconds, an upper bound for the pod's own grace period."""
        self._containers = ContainerStarter(self.sandbox, services)
        self._starter = PodStarter(
            self.sandbox, self._containers, services, called_off=lambda: self._end is not End.NONE
        )
        self._observer = Observer(services, self.sandbox.context, self._alarm.ring)
        self._stopper = Stopper(services, self.uid, self._observer.hooks)
        self._resizer = Resizer(services, self._alarm.ring)
        self._reporter = PodReporter(services)
        self._finisher = Finisher(
            services, self.sandbox, report=lambda terminal: self._report(self._look(), terminal=terminal)
        )
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
        news = what_wakes(pod) != what_wakes(self.pod)
        self.pod = pod
        self.sandbox.pod = pod
        if news:
            self._containers.try_again()
            self._starter.retry_at = None
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
        if self._containers.waiting:
            self._containers.forget_image_problems()
            self._alarm.ring()

    def restart(self, names: Collection[str]) -> None:
        """Restart these containers in place, whatever their restartPolicy; what waits for its back-off starts now."""
        known = latest(self.histories())
        self._restarts |= {name: known[name].id for name in names if name in known}
        self._containers.try_again()
        self._alarm.ring()

    async def shut_down(self, grace: float | None) -> None:
        """End the pod's processes (within `grace` seconds, if given) and start none; the Pod stays in the API."""
        self._shutting_down = True
        self._limit_grace(grace)
        self._alarm.ring()
        await self._ended.wait()

    def evict(self, failed: Failed, *, grace: float) -> bool:
        """End the pod for good within `grace` seconds at most; its status becomes Failed, with a Warning event.

        It holds across a kill of the daemon. False: the pod has ended already, or is about to. See also `ended`.
        """
        if self._failed or self._completed or self._seen_to is not End.NONE:
            return False
        if self._end is not End.DELETION:
            until = self._services.clock() + round(grace * MICROSECONDS)
            record(self.sandbox.context.shared_dir, Verdict(failed, until))
        self._failed = failed
        self._limit_grace(grace)
        self._event(events.WARNING, failed.reason, failed.message)
        self._alarm.ring()
        return True

    async def ended(self) -> None:
        """Return once an evicted, completed or deleted pod has left nothing that takes room."""
        await self._ended.wait()

    async def stop(self) -> None:
        """Stop working; the pod lives on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._observer.stop()

    # -- the loop --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not await self._step():
                pass
        finally:
            self._ended.set()
            self.first_sync.set()
        await self._observer.stop()
        self._on_done(self)

    async def _step(self) -> bool:
        """Do all that can be done now, report it, then sleep until there is a reason to look. True: all is over."""
        try:
            deadline = await self._sync()
            self._retries.succeeded()
        except StatusError as error:
            deadline = self._retry_later(f"cannot sync pod: {error}")
        except Exception:
            log.exception("sync failed", extra=self._names())
            deadline = self._retry_later("internal error")
        self.first_sync.set()
        if self._seen_to is End.DELETION:
            return True
        await self._alarm.sleep(deadline)
        return False

    @property
    def _end(self) -> End:
        if self._gone or self.pod.metadata.deletionTimestamp:
            return End.DELETION
        if self._shutting_down:
            return End.SHUTDOWN
        return End.COMPLETED if self._completed or self._failed else End.NONE

    async def _sync(self) -> int | None:
        """Returns when (µs) to look again even if nothing happens."""
        progress = asyncio.get_running_loop().call_later(REPORT_AFTER, self._report_progress)
        try:
            while True:
                self._alarm.reset()  # what rings from here on is not seen by this look
                await self._recall_end()
                self._check_limits()
                ending = self._end
                if ending is End.NONE:
                    done, deadline = await self._keep()
                else:
                    done, deadline = await self._bring_to_end(ending)
                if done and ending is self._end:
                    return deadline
        finally:
            progress.cancel()

    # -- a pod that is to run --------------------------------------------------------------------------------------

    async def _keep(self) -> tuple[bool, int | None]:
        """One look, decision and action. Done when there was nothing to act on, and the status says how it is."""
        seen = await self._settled()
        await self._resize(seen)
        actions = self._decide(seen)
        if actions.over:
            self._completed = True
            return False, None
        if actions.kill_sandbox:
            await self._drop_sandbox(seen.sandbox)
        for kill in actions.kill:
            self._kill(kill)
            self._unwell |= {kill.id} if kill.to_replace else set()
        due = await self._stopper.advance(self.pod, gone=False, limit=None, pod_ip=self.sandbox.pod_ip)
        if await self._starter.start(actions) or actions.kill_sandbox or actions.kill:
            return False, None
        if self._end is not End.NONE:
            return False, None
        self._reporter.announce(self.pod, actions.held)
        self._decision = actions
        status = self._report(seen, actions)
        if status.phase in FINAL_PHASES:
            self._completed = True
            return False, None
        deadline = active_deadline(self.pod, self._reporter.start_time(self.pod))
        return True, earliest([due, actions.wake_at, self._starter.wake_at(actions.start), deadline])

    async def _settled(self) -> Observation:
        """A look, in which nothing outlives its sandbox: how it ended is to be known when it is decided on."""
        seen = self._look()
        sandbox = seen.sandbox
        if sandbox is None or sandbox.state is SandboxState.READY or not self._stopper.running():
            return seen
        await self._services.runtime.stop_sandbox(self.uid)
        return self._look()

    def _look(self) -> Observation:
        alive = self._end is End.NONE
        return self._observer.look(self.pod, self.current_pod.status, self.sandbox.pod_ip, alive=alive)

    def _decide(self, seen: Observation) -> PodActions:
        records = latest(self._reporter.histories(self.pod, messages=seen.messages))
        for name, id_ in list(self._restarts.items()):
            if name in records and records[name].id != id_:
                del self._restarts[name]  # the next attempt has been made
            elif name in records and records[name].running and id_ not in self._stopper.ids:
                resized = self._resizer.restarts.get(name) == id_
                message = RESTART_MESSAGE if resized else "Container {} is restarted on request"
                self._kill(Kill(name, id_, message.format(name)))
        self._unwell &= {record.id for record in records.values()}
        return compute_pod_actions(
            self.pod,
            seen.sandbox,
            records,
            now=self._services.clock(),
            backoff=self._services.settings.crash_loop,
            health=seen.health,
            stopping=self._stopper.ids,
            restarts=self._restarts.keys(),
            unwell=self._unwell,
            unstartable=self._containers.waiting.keys(),
        )

    async def _resize(self, seen: Observation) -> None:
        await self._resizer.resize(self.pod, seen.sandbox)
        self.sandbox.pod = self._resizer.granted(self.pod)
        self._restarts |= self._resizer.restarts

    def _kill(self, kill: Kill) -> None:
        container = next((c for c in self._stopper.running() if c.id == kill.id), None)
        if container is not None:
            self._event(events.NORMAL, events.KILLING, kill.message, kill.name)
            self._stopper.begin(self.pod, container, kill.grace)

    async def _drop_sandbox(self, sandbox: SandboxStatus | None) -> None:
        """The infra process is gone: nothing of the sandbox can be kept. Its containers' ends go on record first."""
        if sandbox is not None and is_no_habit(sandbox, self._services.clock()):
            self._containers.try_again()  # what could not be started in the old one can be in the new one
        message = "Pod sandbox changed, it will be killed and re-created."
        self._event(events.NORMAL, events.SANDBOX_CHANGED, message)
        await self._services.runtime.stop_sandbox(self.uid)
        self._report(self._look())
        await self._services.statuses.flush(self.uid)
        await self.sandbox.remove()

    def _check_limits(self) -> None:
        if self._failed or self._completed:
            return
        known = self._services.node.holds(self.uid) or self._reporter.status or self.pod.status.startTime
        start_time = self._reporter.start_time(self.pod)
        self._failed = judge(self.pod, self._services, new=not known, start_time=start_time)

    # -- ends ------------------------------------------------------------------------------------------------------

    async def _recall_end(self) -> None:
        """A Pod that had ended before this daemon was started: what an earlier one left of it goes."""
        if self._reporter.status is not None or self._seen_to is not End.NONE:
            return
        if self.pod.status.phase in FINAL_PHASES and self._end is not End.DELETION:
            self._completed = True
            if self.sandbox.present:
                await self.sandbox.release()
            self._have_seen_to(End.COMPLETED)

    async def _bring_to_end(self, ending: End) -> tuple[bool, int | None]:
        """Stop what runs; once nothing does, see to what is left of the pod. Done when that has to be waited for."""
        if self._seen_to is not End.NONE and ending is not End.DELETION:
            self._ended.set()
            return True, None
        self._observer.prober.stop_liveness_and_startup()
        seen = self._look()
        for container in self._stopper.begin_all(self.pod):
            message = f"Stopping container {container.name}"
            self._event(events.NORMAL, events.KILLING, message, container.name)
        due = await self._stopper.advance(
            self.pod, gone=self._gone, limit=self._grace_limit, pod_ip=self.sandbox.pod_ip
        )
        if self._stopper.running():
            if not self._gone:
                self._report(seen, terminal=ending is End.COMPLETED)
            return True, due
        self._containers.clear()
        self._services.node.release(self.uid)  # before the API tells of the end: the scheduler is quick
        evicted = self._failed is not None and self._failed.disrupted
        await self._finisher.finish(self.pod, ending, gone=self._gone, evicted=evicted)
        self._have_seen_to(ending)
        return True, None

    # -- reporting -------------------------------------------------------------------------------------------------

    def _report(
        self, seen: Observation, actions: PodActions | None = None, *, terminal: bool = False
    ) -> core_v1.PodStatus:
        return self._reporter.report(
            self.pod,
            actions=actions,
            waiting=self._containers.waiting,
            networked=self.sandbox.networked,
            pod_ip=self.sandbox.pod_ip,
            failed=self._failed,
            terminal=terminal,
            health=seen.health,
            messages=seen.messages,
            restarts=self._restarts.keys(),
            unwell=self._unwell,
            conditions=self._resizer.conditions(self.current_pod, timestamps.now()),
            resources=self._resizer.shown(self.pod, seen.sandbox),
        )

    def _report_progress(self) -> None:
        """An end tells by itself how far it is; while what is left is removed, there is nothing to look at."""
        if self._end is End.NONE:
            self._report(self._look(), self._decision)

    def _event(self, type_: str, reason: str, message: str, container: str = "") -> None:
        self._services.events.pod_event(self.pod, type_, reason, message, container=container)

    def _names(self) -> dict[str, str]:
        return {"pod": f"{self.pod.metadata.namespace}/{self.pod.metadata.name}", "uid": self.uid}

    def _have_seen_to(self, end: End) -> None:
        self._seen_to = end
        self._ended.set()

    def _limit_grace(self, grace: float | None) -> None:
        if grace is not None:
            self._grace_limit = grace if self._grace_limit is None else min(grace, self._grace_limit)

    def _retry_later(self, why: str) -> int:
        at = self._retries.failed()
        delay = go_duration((at - self._services.clock()) / MICROSECONDS)
        log.warning("%s; trying again in %s", why, delay, extra=self._names())
        return at
