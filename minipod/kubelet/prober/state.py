"""What the answers of a container's probes come to: pure, by the rules Kubernetes documents.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes

A probe's verdict changes when enough answers of one kind have come in a row. Until the startup probe has succeeded no
other probe runs; once it, or the liveness probe, has failed, that probe rests: the container will not live on.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from minipod.api import core_v1
from minipod.kubelet.pod_names import AnyContainer
from minipod.kubelet.pods.health import Health, Unhealthy
from minipod.kubelet.prober.types import Outcome

PERIOD_ANNOTATION = "minipod.io/probe-period-ms"
"""On a pod: milliseconds between runs of each of its probes, in place of their periodSeconds."""
MIN_PERIOD_MS = 10
MAX_PERIOD_MS = 60_000

GRID = 0.05
"""Seconds between the moments at which probes with long periods run."""


class ProbeKind(StrEnum):
    """The value is the word that Kubernetes' messages begin with."""

    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"


class Verdict(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


_INITIAL = {
    ProbeKind.STARTUP: Verdict.PENDING,
    ProbeKind.LIVENESS: Verdict.SUCCESS,
    ProbeKind.READINESS: Verdict.FAILURE,
}


@dataclass(frozen=True, slots=True)
class ProbeState:
    """`run` is how many answers like `last` have come in a row."""

    verdict: Verdict
    last: Verdict | None = None
    run: int = 0


def probes_of(container: AnyContainer) -> dict[ProbeKind, core_v1.Probe]:
    found = {
        ProbeKind.STARTUP: container.startupProbe,
        ProbeKind.LIVENESS: container.livenessProbe,
        ProbeKind.READINESS: container.readinessProbe,
    }
    return {kind: probe for kind, probe in found.items() if probe is not None}


def initial_states(
    probes: Mapping[ProbeKind, core_v1.Probe], known: Health | None
) -> dict[ProbeKind, ProbeState]:
    """Before the first answer. `known`: what was on record of this very container before a daemon restart."""
    states = {kind: ProbeState(_INITIAL[kind]) for kind in probes}
    if known is not None:
        passed = {ProbeKind.STARTUP: known.started, ProbeKind.READINESS: known.started and known.ready}
        for kind in states.keys() & passed.keys():
            if passed[kind]:
                states[kind] = ProbeState(Verdict.SUCCESS)
    return states


def observe(state: ProbeState, outcome: Outcome, probe: core_v1.Probe) -> ProbeState:
    """The state after one more answer; what the prober itself could not do does not count."""
    if outcome is Outcome.UNKNOWN:
        return state
    answer = Verdict.FAILURE if outcome is Outcome.FAILURE else Verdict.SUCCESS
    threshold = failure_threshold(probe) if answer is Verdict.FAILURE else success_threshold(probe)
    # Beyond the threshold there is nothing to count: a probe that goes on as it did leaves its state the same object.
    if state.last is answer and state.run >= threshold and state.verdict is answer:
        return state
    run = state.run + 1 if state.last is answer else 1
    seen = replace(state, last=answer, run=run)
    return replace(seen, verdict=answer) if run >= threshold else seen


def due_kinds(
    states: Mapping[ProbeKind, ProbeState], *, only_readiness: bool = False
) -> frozenset[ProbeKind]:
    """The probes that have to run now. `only_readiness`: the pod is being stopped."""
    startup = states.get(ProbeKind.STARTUP)
    if startup is not None and startup.verdict is not Verdict.SUCCESS:
        resting = startup.verdict is Verdict.FAILURE or only_readiness
        return frozenset() if resting else frozenset((ProbeKind.STARTUP,))
    found = set(states) - {ProbeKind.STARTUP}
    liveness = states.get(ProbeKind.LIVENESS)
    if liveness is not None and (liveness.verdict is Verdict.FAILURE or only_readiness):
        found.discard(ProbeKind.LIVENESS)
    return frozenset(found)


def health(
    name: str, probes: Mapping[ProbeKind, core_v1.Probe], states: Mapping[ProbeKind, ProbeState]
) -> Health:
    """What the probes of the container called `name` come to."""
    verdicts = {kind: state.verdict for kind, state in states.items()}
    started = verdicts.get(ProbeKind.STARTUP, Verdict.SUCCESS) is Verdict.SUCCESS
    ready = started and verdicts.get(ProbeKind.READINESS, Verdict.SUCCESS) is Verdict.SUCCESS
    unhealthy = None
    for kind in (ProbeKind.STARTUP, ProbeKind.LIVENESS):
        if verdicts.get(kind) is Verdict.FAILURE:
            unhealthy = Unhealthy(
                message=f"Container {name} failed {kind.lower()} probe",
                grace=probes[kind].terminationGracePeriodSeconds,
            )
    return Health(started=started, ready=ready, unhealthy=unhealthy)


def first_delay(
    kind: ProbeKind, probe: core_v1.Probe, *, age: float, period: float, phase: float | None = None
) -> float:
    """Seconds until a probe that may run now runs first; `age` is the container's, in seconds.

    initialDelaySeconds counts from the container's start. A startup or readiness probe can only gain by running at
    once. Liveness can only lose: without a delay of its own it comes first after one period, as it does in Kubernetes,
    where its ticker has been running since before the container. `phase` is the fraction of a period to wait for
    probes that have passed before this daemon came up: there is no hurry, and all would be due at the same moment.
    """
    wait = max(0.0, (probe.initialDelaySeconds or 0) - age)
    if phase is not None:
        return max(wait, period * phase)
    return period if kind is ProbeKind.LIVENESS and not wait else wait


def next_due(due: float, now: float, period: float) -> float:
    """When a probe that was due at `due` is due again, in seconds of the same clock: a ticker that drops missed ticks.

    Of periods from one second on, ticks are put on a grid that all probes share: a daemon that is woken for one probe
    does a few more for half of what each would cost alone.
    """
    following = due + period
    if following < now:
        following = now
    return math.ceil(following / GRID - 1e-6) * GRID if period >= 1 else following


def spread(container_id: str, kind: ProbeKind) -> float:
    """A fraction of a period, fixed per probe: all pods' probes must not fire together after a daemon restart."""
    return zlib.crc32(f"{container_id}/{kind}".encode()) / 2**32


def period_override(pod: core_v1.Pod) -> float | None:
    """Seconds by the pod's annotation, None without. Raises ValueError when it is no whole number in bounds."""
    text = pod.metadata.annotations.get(PERIOD_ANNOTATION)
    if text is None:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not MIN_PERIOD_MS <= number <= MAX_PERIOD_MS:
        raise ValueError(
            f"metadata.annotations[{PERIOD_ANNOTATION}] is {text[:32]!r}: expected a whole number of milliseconds "
            f"from {MIN_PERIOD_MS} to {MAX_PERIOD_MS}; periodSeconds is used"
        )
    return number / 1000


# What the API fills in; a pod that came another way may lack it.


def period_seconds(probe: core_v1.Probe) -> float:
    return float(probe.periodSeconds or 10)


def timeout_seconds(probe: core_v1.Probe) -> float:
    return float(probe.timeoutSeconds or 1)


def failure_threshold(probe: core_v1.Probe) -> int:
    return probe.failureThreshold or 3


def success_threshold(probe: core_v1.Probe) -> int:
    return probe.successThreshold or 1
