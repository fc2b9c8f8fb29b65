"""Why one container keeps its pod from being Ready: pure, from its status and what the journal says of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from minipod.api import core_v1
from minipod.api.timestamps import to_epoch_us
from minipod.kubelet.history.entries import Entry, Step, printable
from minipod.kubelet.history.wording import (
    end_entry,
    last_words,
    since,
    span,
    the_cause,
    the_end,
    times_since,
)

IMAGE_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
)

_NEVER_RAN = ("StartError", "ContainerCannotRun")
"""Reasons of ends that left no log."""

_DELAY = re.compile(r"back-off (?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)? ")
_DELAY_MS = re.compile(r"back-off (\d+)ms ")
_PROBE = re.compile(r"(readiness|liveness|startup) probe (failed|errored)[^:]*:?\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cause:
    """`text` names the container; `look` is a command that shows more, "" where there is none."""

    container: str
    text: str
    look: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One container in question. `what` is how a sentence calls it: "container", "init container", "sidecar"."""

    pod: core_v1.Pod
    spec: core_v1.Container
    status: core_v1.ContainerStatus
    entries: Sequence[Entry]
    now: int
    what: str = "container"

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def called(self) -> str:
        return f"{self.what} {self.name}"

    def cause(self, text: str, look: str = "") -> Cause:
        return Cause(self.name, text, look)

    def logs(self, *, previous: bool = False) -> str:
        meta = self.pod.metadata
        namespace = f" -n {meta.namespace}" if meta.namespace != "default" else ""
        return f"minipod logs {meta.name} -c {self.name}{namespace}" + (" --previous" if previous else "")

    def of(self, *steps: Step) -> list[Entry]:
        """What the journal says of this container."""
        return [e for e in self.entries if e.container == self.name and e.step in steps]


def container_cause(subject: Subject) -> Cause:
    """Why this container, which is not ready, is not."""
    state = subject.status.state or core_v1.ContainerState()
    if state.running is not None:
        return _running(subject, state.running)
    if state.terminated is not None:
        return _ended(subject, state.terminated)
    waiting = state.waiting or core_v1.ContainerStateWaiting()
    if waiting.reason == "CrashLoopBackOff":
        return _crash_loop(subject, waiting)
    if waiting.reason in IMAGE_REASONS:
        return _image(subject, waiting)
    if waiting.reason in (None, "", "ContainerCreating", "PodInitializing"):
        return _creating(subject)
    text = f"{subject.called} cannot be started: {waiting.reason}: {waiting.message or ''}".rstrip(": ")
    return subject.cause(printable(text), f"minipod describe pod {subject.pod.metadata.name}")


def probe_cause(subject: Subject, kind: str) -> str:
    """`readiness probe fails: ... (12 times in 40s)`; `kind`: "readiness", "startup" or "liveness"."""
    failures: list[tuple[Entry, str]] = []
    for entry in subject.of(Step.PROBE, Step.START, Step.EXIT):
        match = _PROBE.match(entry.message)
        if entry.step is not Step.PROBE or (not entry.failed and kind in entry.message):
            failures.clear()
        elif match and match[1].lower() == kind:
            failures.append((entry, match[3]))
    if not failures:
        return f"{kind} probe has not succeeded yet"
    count = sum(entry.count for entry, _ in failures)
    text = f"fails: {failures[-1][1]}" if failures[-1][1] else "fails without a word"
    return f"{kind} probe {text} ({times_since(count, failures[0][0].at, subject.now)})"


def _running(subject: Subject, running: core_v1.ContainerStateRunning) -> Cause:
    called, spec = subject.called, subject.spec
    kills = subject.of(Step.KILL, Step.START)
    if kills and kills[-1].step is Step.KILL:
        text = f"{called} is being stopped {since(kills[-1].at, subject.now)}: {kills[-1].message}"
        return subject.cause(text, subject.logs())
    if spec.startupProbe is not None and not subject.status.started:
        return subject.cause(f"{called}: its {probe_cause(subject, 'startup')}", subject.logs())
    if spec.readinessProbe is not None:
        return subject.cause(f"{called}: {probe_cause(subject, 'readiness')}", subject.logs())
    began = to_epoch_us(running.startedAt)
    return subject.cause(f"{called} runs {since(began, subject.now)} and is not ready yet", subject.logs())


def _ended(subject: Subject, ended: core_v1.ContainerStateTerminated) -> Cause:
    entry = end_entry(subject.entries, subject.name, ended.containerID or "")
    text = f"{subject.called} has ended ({the_end(ended, entry, subject.now)}){last_words(ended, entry)}"
    return subject.cause(text, subject.logs())


def _crash_loop(subject: Subject, waiting: core_v1.ContainerStateWaiting) -> Cause:
    last = subject.status.lastState.terminated if subject.status.lastState else None
    facts = [f"{subject.status.restartCount} restart{'s' if subject.status.restartCount != 1 else ''}"]
    entry = end_entry(subject.entries, subject.name, last.containerID or "" if last else "")
    if last is not None:
        facts.append(f"last {the_end(last, entry, subject.now)}")
    finished = entry.at if entry else to_epoch_us(last.finishedAt) if last else 0
    if finished and (delay := _delay(waiting.message or "")):
        left = finished + delay - subject.now
        facts.append(f"next start in {span(left)}" if left > 0 else "next start now")
    why = the_cause(last, subject.entries, subject.name, entry)
    text = f"{subject.called} is in CrashLoopBackOff ({', '.join(facts)}){why}"
    printed = last is None or last.reason not in _NEVER_RAN
    look = subject.logs(previous=True) if printed else f"minipod describe pod {subject.pod.metadata.name}"
    return subject.cause(text, look)


def _delay(message: str) -> int:
    """µs in "back-off 1m20s restarting ..."; 0 when it says none."""
    if found := _DELAY_MS.match(message):
        return int(found[1]) * 1000
    found = _DELAY.match(message)
    if not found:
        return 0
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return (hours * 3600 + minutes * 60 + seconds) * 1_000_000


def _image(subject: Subject, waiting: core_v1.ContainerStateWaiting) -> Cause:
    image, called = subject.spec.image or "", subject.called
    if waiting.reason == "InvalidImageName":
        return subject.cause(
            printable(f'{called}: "{image}" is not the name of an image: {waiting.message}')
        )
    policy = subject.spec.imagePullPolicy or "IfNotPresent"
    message = (waiting.message or "").rpartition(f'"{image}": ')[2]
    text = f'{called}: image "{image}" is not here ({policy}): {waiting.reason}: {message}'.rstrip(": ")
    return subject.cause(printable(text), "minipod image list")


def _creating(subject: Subject) -> Cause:
    hooks = subject.of(Step.HOOK, Step.START)
    if hooks and hooks[-1].detail.get("reason") == "PostStartHookStarted":
        began = since(hooks[-1].at, subject.now)
        return subject.cause(
            f"{subject.called} waits for its postStart hook, which runs {began}", subject.logs()
        )
    words = subject.of(Step.CREATE, Step.START, Step.IMAGE, Step.PROBLEM)
    if words and words[-1].failed:
        text = (
            f"{subject.called} cannot be created: {words[-1].message} ({since(words[-1].at, subject.now)})"
        )
        return subject.cause(text, f"minipod describe pod {subject.pod.metadata.name}")
    newest = max((e.at for e in subject.entries), default=0)
    return subject.cause(f"{subject.called} is being created {since(newest, subject.now)}".rstrip())
