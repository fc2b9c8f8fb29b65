"""Why a pod is not Ready, in one sentence: pure, from the Pod and its journal.

The first thing that holds everything else up is named, not everything that is not as it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from minipod.api import core_v1
from minipod.api.timestamps import to_epoch_us
from minipod.kubelet.history.container_causes import Cause, Subject, container_cause
from minipod.kubelet.history.entries import Entry, Step, printable
from minipod.kubelet.history.wording import (
    ago,
    end_entry,
    last_words,
    since,
    span,
    the_cause,
    the_end,
    times_since,
)
from minipod.kubelet.pods.restart_policy import is_sidecar
from minipod.kubelet.status.fates import FINAL_PHASES


class Verdict(StrEnum):
    READY = "Ready"
    NOT_READY = "NotReady"
    COMPLETED = "Completed"
    FAILED = "Failed"
    DELETING = "Deleting"
    DELETED = "Deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """`headline` says it all; `container` is the one at fault, `look` a command that shows more ("": none)."""

    verdict: Verdict
    headline: str
    container: str = ""
    look: str = ""


@dataclass(frozen=True, slots=True)
class _Case:
    pod: core_v1.Pod
    entries: Sequence[Entry]
    now: int

    @property
    def name(self) -> str:
        return self.pod.metadata.name or ""

    def condition(self, type_: str) -> core_v1.PodCondition | None:
        return next((c for c in self.pod.status.conditions if c.type == type_), None)

    def say(self, verdict: Verdict, is_: str, cause: Cause | None = None) -> Diagnosis:
        """`is_`: what the pod is; `cause`: why."""
        text = f"{self.name} {is_}" + (f": {cause.text}" if cause and cause.text else "")
        container, look = (cause.container, cause.look) if cause else ("", "")
        return Diagnosis(verdict=verdict, headline=printable(text), container=container, look=look)

    def subject(self, spec: core_v1.Container, what: str = "container") -> Subject:
        statuses = (*self.pod.status.initContainerStatuses, *self.pod.status.containerStatuses)
        status = next((s for s in statuses if s.name == spec.name), None)
        if status is None:
            status = core_v1.ContainerStatus(name=spec.name, image=spec.image or "", imageID="")
        return Subject(pod=self.pod, spec=spec, status=status, entries=self.entries, now=self.now, what=what)


def diagnose(name: str, pod: core_v1.Pod | None, entries: Sequence[Entry], *, now: int) -> Diagnosis:
    """`pod` as the node or the API has it, None when it is gone; `entries` in the order of their times; `now` in µs."""
    if pod is None:
        return _deleted(name, entries, now)
    case = _Case(pod, entries, now)
    for rule in _RULES:
        if found := rule(case):
            return found
    condition = case.condition("Ready")
    text = _reason_and_message(condition) if condition else "the node has not reported on it yet"
    return case.say(Verdict.NOT_READY, "is not Ready", Cause("", text))


def _reason_and_message(condition: core_v1.PodCondition) -> str:
    return f"{condition.reason or ''}: {condition.message or ''}".strip(": ")


# -- gone or going -------------------------------------------------------------------------------------------------


def _deleted(name: str, entries: Sequence[Entry], now: int) -> Diagnosis:
    last = next((e for e in reversed(entries) if e.step in (Step.DELETED, Step.DELETE)), None)
    at = (last.last or last.at) if last else 0
    when = ago(at, now) if at else "while the daemon did not run"
    end = next((e for e in reversed(entries) if e.step is Step.EXIT), None)
    if end is None:
        return Diagnosis(verdict=Verdict.DELETED, headline=f"{name} was deleted {when}")
    text = f"{name} was deleted {when}; container {end.container} had ended last: {end.message}{last_words(None, end)}"
    return Diagnosis(verdict=Verdict.DELETED, headline=printable(text), container=end.container)


def _deleting(case: _Case) -> Diagnosis | None:
    meta = case.pod.metadata
    if not meta.deletionTimestamp:
        return None
    due = to_epoch_us(meta.deletionTimestamp)
    began = next((e.at for e in case.entries if e.step is Step.DELETE), 0)
    began = began or due - (meta.deletionGracePeriodSeconds or 0) * 1_000_000
    return case.say(
        Verdict.DELETING, f"is being deleted {since(began, case.now)}", _deletion_cause(case, due)
    )


def _deletion_cause(case: _Case, due: int) -> Cause:
    left = due - case.now
    limit = f"killed in {span(left)}" if left > 0 else "its grace period is over"
    for spec in (*case.pod.spec.containers, *case.pod.spec.initContainers):
        subject = case.subject(spec)
        if not (subject.status.state and subject.status.state.running):
            continue
        hooks = subject.of(Step.HOOK, Step.START)
        if hooks and hooks[-1].detail.get("reason") == "PreStopHookStarted":
            began = since(hooks[-1].at, case.now)
            return Cause(
                spec.name, f"preStop hook of container {spec.name} runs {began} ({limit})", subject.logs()
            )
        return Cause(spec.name, f"container {spec.name} has not ended yet ({limit})", subject.logs())
    if finalizers := case.pod.metadata.finalizers:
        look = f"minipod get pod {case.name} -o jsonpath={{.metadata.finalizers}}"
        return Cause("", f"nothing of it runs; it waits for finalizers {', '.join(finalizers)}", look)
    return Cause("", "nothing of it runs; what is left is being removed")


# -- not begun -----------------------------------------------------------------------------------------------------


def _unscheduled(case: _Case) -> Diagnosis | None:
    if case.pod.spec.nodeName:
        return None
    condition = case.condition("PodScheduled")
    created = since(to_epoch_us(case.pod.metadata.creationTimestamp), case.now)
    if condition is None:
        return case.say(
            Verdict.NOT_READY, "is not Ready", Cause("", f"it waits for the scheduler {created}")
        )
    reason = f"{condition.reason}: " if condition.reason not in (None, "", "Unschedulable") else ""
    text = f"it is on no node ({created}): {reason}{condition.message or 'Unschedulable'}"
    return case.say(Verdict.NOT_READY, "is not Ready", Cause("", text, f"minipod describe pod {case.name}"))


def _no_sandbox(case: _Case) -> Diagnosis | None:
    """Volumes, namespaces or network cannot be had."""
    statuses = (*case.pod.status.initContainerStatuses, *case.pod.status.containerStatuses)
    if any(s.state and s.state.running for s in statuses):
        return None
    told = [e for e in case.entries if e.step in _SETTING_UP]
    if not told or not told[-1].failed or told[-1].step not in (Step.MOUNT, Step.SANDBOX, Step.NETWORK):
        return None
    last = told[-1]
    times = times_since(last.count, last.at, case.now)
    reason = last.detail.get("reason") or last.step
    return case.say(
        Verdict.NOT_READY,
        "is not Ready",
        Cause("", f"{reason}: {last.message} ({times})", f"minipod describe pod {case.name}"),
    )


_SETTING_UP = (Step.MOUNT, Step.SANDBOX, Step.NETWORK, Step.IMAGE, Step.CREATE, Step.START)


# -- over ----------------------------------------------------------------------------------------------------------


def _over(case: _Case) -> Diagnosis | None:
    status = case.pod.status
    if status.phase not in FINAL_PHASES:
        return None
    ends = [(s, s.state.terminated) for s in status.containerStatuses if s.state and s.state.terminated]
    at = max((to_epoch_us(ended.finishedAt) for _, ended in ends), default=0)
    if status.phase == "Succeeded":
        return case.say(Verdict.COMPLETED, f"completed {ago(at, case.now)}".rstrip())
    if status.reason:
        text = f"{status.reason}: {status.message or ''}".rstrip(": ")
        return case.say(
            Verdict.FAILED,
            f"failed {ago(at, case.now)}".rstrip(),
            Cause("", text, f"minipod describe pod {case.name}"),
        )
    inits = [(s, s.state.terminated) for s in status.initContainerStatuses if s.state and s.state.terminated]
    bad = next(((s, e) for s, e in (*inits, *ends) if e.exitCode != 0), None)
    if bad is None:
        return case.say(Verdict.FAILED, f"failed {ago(at, case.now)}".rstrip())
    entry = end_entry(case.entries, bad[0].name, bad[1].containerID or "")
    what = "init container" if any(s.name == bad[0].name for s, _ in inits) else "container"
    text = f"{what} {bad[0].name} ended with {the_end(bad[1], entry, case.now)}{last_words(bad[1], entry)}"
    return case.say(Verdict.FAILED, "failed", Cause(bad[0].name, text, _logs(case, bad[0].name)))


def _logs(case: _Case, container: str) -> str:
    spec = next(c for c in (*case.pod.spec.containers, *case.pod.spec.initContainers) if c.name == container)
    return case.subject(spec).logs()


def _ready(case: _Case) -> Diagnosis | None:
    condition = case.condition("Ready")
    if condition is None or condition.status != "True":
        return None
    noted = [e.at for e in case.entries if e.step is Step.READY and not e.failed]
    at = noted[-1] if noted else to_epoch_us(condition.lastTransitionTime)
    text = f"is Ready {since(at, case.now)}".rstrip()
    restarted = max(case.pod.status.containerStatuses, key=lambda s: s.restartCount, default=None)
    if restarted is None or not restarted.restartCount:
        return case.say(Verdict.READY, text)
    last = restarted.lastState.terminated if restarted.lastState else None
    entry = end_entry(case.entries, restarted.name, last.containerID or "" if last else "")
    count = restarted.restartCount
    text += f"; container {restarted.name} was restarted {'once' if count == 1 else f'{count} times'}"
    if last is not None:
        text += (
            f", last {the_end(last, entry, case.now)}{the_cause(last, case.entries, restarted.name, entry)}"
        )
    return case.say(Verdict.READY, text, Cause(restarted.name, ""))


# -- containers ----------------------------------------------------------------------------------------------------


def _initializing(case: _Case) -> Diagnosis | None:
    """The first init container or sidecar that what comes after it waits for."""
    initialized = case.condition("Initialized")
    if initialized is not None and initialized.status == "True":
        return None
    for spec in case.pod.spec.initContainers:
        sidecar = is_sidecar(spec)
        subject = case.subject(spec, "sidecar" if sidecar else "init container")
        state = subject.status.state or core_v1.ContainerState()
        if (sidecar and subject.status.started) or (state.terminated and state.terminated.exitCode == 0):
            continue
        if state.running and not sidecar:
            began = span(case.now - to_epoch_us(state.running.startedAt))
            text = f"waits for init container {spec.name} (running for {began})"
            cause = Cause(spec.name, text, subject.logs())
        else:
            cause = container_cause(subject)
        if sidecar:
            cause = Cause(cause.container, f"waits for {cause.text}", cause.look)
        return case.say(Verdict.NOT_READY, "is not Ready", cause)
    return None


def _unready_containers(case: _Case) -> Diagnosis | None:
    sidecars = [c for c in case.pod.spec.initContainers if is_sidecar(c)]
    subjects = [case.subject(c) for c in case.pod.spec.containers] + [
        case.subject(c, "sidecar") for c in sidecars
    ]
    unready = sorted((s for s in subjects if not s.status.ready), key=_severity)
    if not unready:
        return None
    cause = container_cause(unready[0])
    more = f" (and {len(unready) - 1} more)" if len(unready) > 1 else ""
    return case.say(Verdict.NOT_READY, "is not Ready", Cause(cause.container, cause.text + more, cause.look))


def _severity(subject: Subject) -> int:
    """What cannot go on by itself first."""
    state = subject.status.state or core_v1.ContainerState()
    if state.waiting and state.waiting.reason not in ("ContainerCreating", "PodInitializing"):
        return 0
    return 1 if state.terminated else 2 if state.running else 3


def _readiness_gates(case: _Case) -> Diagnosis | None:
    for gate in case.pod.spec.readinessGates:
        condition = case.condition(gate.conditionType)
        if condition is None or condition.status != "True":
            text = f'readiness gate: condition "{gate.conditionType}" is not True'
            return case.say(Verdict.NOT_READY, "is not Ready", Cause("", text))
    return None


_RULES: tuple[Callable[[_Case], Diagnosis | None], ...] = (
    _deleting,
    _over,
    _unscheduled,
    _ready,
    _no_sandbox,
    _initializing,
    _unready_containers,
    _readiness_gates,
)
"""In the order in which one thing holds up the next."""
