"""Probes the running containers of one pod and says what came of it. Owned by the pod's worker.

Each probe that is due is one task that sleeps, asks and sleeps again; none exists for a probe that does not run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from minipod.api import core_v1
from minipod.kubelet import events
from minipod.kubelet.backoff import MICROSECONDS
from minipod.kubelet.history.entries import Step
from minipod.kubelet.pod_names import AnyContainer
from minipod.kubelet.pods.health import HEALTHY, Health
from minipod.kubelet.prober import state
from minipod.kubelet.prober.handlers import HandlerResult, Outcome, Target, run_handler
from minipod.kubelet.prober.reports import ProbeReports
from minipod.kubelet.prober.state import ProbeKind, ProbeState, Verdict
from minipod.kubelet.services import Services

log = logging.getLogger(__name__)

NOT_PROBED = Health(started=False, ready=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedContainer:
    """A running container as its pod's worker knows it. `started_at`: microseconds since the epoch.

    `hooked`: its postStart hook is over, or it has none; before that it is not probed, as in Kubernetes, where it does
    not count as running. `known`: what the API said of this very container before the daemon came up, None for one
    that this daemon has started itself.
    """

    container: AnyContainer
    id: str
    started_at: int
    hooked: bool = True
    known: Health | None = None


@dataclass(slots=True)
class _Probed:
    container: AnyContainer
    id: str
    started_at: int
    adopted: bool
    probes: dict[ProbeKind, core_v1.Probe]
    states: dict[ProbeKind, ProbeState]
    health: Health
    hooked: bool = False
    tasks: dict[ProbeKind, asyncio.Task[None]] = field(default_factory=dict)
    asking: set[ProbeKind] = field(default_factory=set)
    """Those of the tasks that do not sleep."""


class Prober:
    """`on_change` is called whenever health() of a container has changed because of a probe."""

    def __init__(self, services: Services, on_change: Callable[[], None]) -> None:
        self._runtime = services.runtime
        self._clock = services.clock
        self._on_change = on_change
        self._reports = ProbeReports(services.events)
        self._history = services.history
        self._pod = core_v1.Pod()
        self._pod_ip = ""
        self._period: float | None = None
        self._annotation: str | None = None
        self._only_readiness = False
        self._containers: dict[str, _Probed] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def sync(self, pod: core_v1.Pod, containers: Iterable[ProbedContainer], pod_ip: str) -> None:
        """Probe exactly these containers from now on. Cheap when nothing has changed. Needs a running loop."""
        self._pod, self._pod_ip = pod, pod_ip
        self._read_annotation()
        named = set()
        for given in containers:
            named.add(given.id)
            probed = self._containers.get(given.id) or self._add(given)
            if given.hooked and not probed.hooked:
                probed.hooked = True
                self._run_due(probed)
        for id_ in self._containers.keys() - named:
            self._cancel(self._containers.pop(id_), frozenset(ProbeKind))

    def health(self, container_id: str) -> Health:
        """What the probes say; of a container that sync has not named: that nothing has passed."""
        probed = self._containers.get(container_id)
        return NOT_PROBED if probed is None else probed.health

    def stop_liveness_and_startup(self) -> None:
        """The pod is being stopped: from here on only readiness is asked for, and nothing is unhealthy."""
        if self._only_readiness:
            return
        self._only_readiness = True
        for probed in self._containers.values():
            self._cancel(probed, frozenset((ProbeKind.STARTUP, ProbeKind.LIVENESS)))
            self._assess(probed)

    async def stop(self) -> None:
        """End every probe, the commands of exec probes included."""
        self.sync(self._pod, (), "")
        await asyncio.gather(*self._ending, return_exceptions=True)

    # -- what runs -------------------------------------------------------------------------------------------------

    def _add(self, given: ProbedContainer) -> _Probed:
        probes = state.probes_of(given.container)
        states = state.initial_states(probes, given.known)
        probed = self._containers[given.id] = _Probed(
            container=given.container,
            id=given.id,
            started_at=given.started_at,
            adopted=given.known is not None,
            probes=probes,
            states=states,
            health=state.health(given.container.name, probes, states) if probes else HEALTHY,
        )
        return probed

    def _run_due(self, probed: _Probed) -> None:
        for kind in (
            state.due_kinds(probed.states, only_readiness=self._only_readiness) - probed.tasks.keys()
        ):
            work = self._probe(probed, kind)
            probed.tasks[kind] = asyncio.create_task(work, name=f"{kind.lower()}-{probed.container.name}")

    def _cancel(self, probed: _Probed, kinds: frozenset[ProbeKind]) -> None:
        for kind in kinds & probed.tasks.keys():
            task = probed.tasks.pop(kind)
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _probe(self, probed: _Probed, kind: ProbeKind) -> None:
        """Ask until it is not due any more."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._first_delay(probed, kind)
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            probed.asking.add(kind)
            try:
                result = await self._ask(probed, kind)
            finally:
                probed.asking.discard(kind)
            self._settle(probed, kind, result)
            if kind not in state.due_kinds(probed.states, only_readiness=self._only_readiness):
                probed.tasks.pop(kind, None)
                return
            due = state.next_due(due, loop.time(), self._period_of(probed.probes[kind]))

    def _first_delay(self, probed: _Probed, kind: ProbeKind) -> float:
        probe = probed.probes[kind]
        period = self._period_of(probe)
        age = (self._clock() - probed.started_at) / MICROSECONDS
        passed = probed.states[kind].verdict is Verdict.SUCCESS
        phase = state.spread(probed.id, kind) if probed.adopted and passed else None
        return state.first_delay(kind, probe, age=age, period=period, phase=phase)

    def _period_of(self, probe: core_v1.Probe) -> float:
        return self._period if self._period is not None else state.period_seconds(probe)

    async def _ask(self, probed: _Probed, kind: ProbeKind) -> HandlerResult:
        probe = probed.probes[kind]
        target = Target(
            pod=self._pod, container=probed.container, container_id=probed.id, pod_ip=self._pod_ip
        )
        try:
            return await run_handler(probe, target, self._runtime, timeout=state.timeout_seconds(probe))
        except Exception as error:
            log.exception("a probe's handler failed", extra={"container": probed.container.name})
            return HandlerResult(Outcome.UNKNOWN, f"internal error: {type(error).__name__}")

    # -- what came of it -------------------------------------------------------------------------------------------

    def _settle(self, probed: _Probed, kind: ProbeKind, result: HandlerResult) -> None:
        before = probed.states[kind]
        after = state.observe(before, result.outcome, probed.probes[kind])
        decisive = after.verdict is not before.verdict
        if result.outcome is not Outcome.SUCCESS:
            self._reports.report(self._pod, probed.container.name, kind, result, decisive=decisive)
        if after is before:
            return
        probed.states[kind] = after
        if decisive and after.verdict is Verdict.SUCCESS:
            name = probed.container.name
            self._history.note(self._pod, Step.PROBE, f"{kind.lower()} probe succeeded", container=name)
        if decisive:
            self._run_due(probed)
            self._assess(probed)

    def _assess(self, probed: _Probed) -> None:
        found = state.health(probed.container.name, probed.probes, probed.states)
        if self._only_readiness and found.unhealthy is not None:
            found = Health(started=found.started, ready=found.ready)
        if found != probed.health:
            probed.health = found
            self._on_change()

    def _read_annotation(self) -> None:
        text = self._pod.metadata.annotations.get(state.PERIOD_ANNOTATION)
        if text == self._annotation:
            return
        self._annotation = text
        before = self._period
        try:
            self._period = state.period_override(self._pod)
        except ValueError as error:
            self._period = None
            self._reports.say(self._pod, events.NOT_AS_ASKED, str(error))
        if self._period != before:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """What sleeps may sleep for a period that is not meant any more."""
        for probed in self._containers.values():
            asleep = probed.tasks.keys() - probed.asking
            self._cancel(probed, frozenset(asleep))
            if asleep:
                self._run_due(probed)
