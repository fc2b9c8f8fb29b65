"""The events about probes, in Kubernetes' words, and not more of them than a user can read."""

from __future__ import annotations

import time
from collections.abc import Callable

from minipod.api import core_v1
from minipod.client.events import EventRecorder
from minipod.kubelet import events
from minipod.kubelet.prober.state import ProbeKind
from minipod.kubelet.prober.types import HandlerResult, Outcome

UNHEALTHY = "Unhealthy"
PROBE_WARNING = "ProbeWarning"

QUIET = 0.9
"""Seconds between two events of one probe. Each is a write; a probe may run a hundred times a second."""

MAX_MESSAGE = 1024
"""Characters of an event's message."""


class ProbeReports:
    """`now` is a monotonic clock in seconds."""

    def __init__(self, recorder: EventRecorder, now: Callable[[], float] = time.monotonic) -> None:
        self._recorder = recorder
        self._now = now
        self._last: dict[tuple[str, ProbeKind], float] = {}

    def report(
        self,
        pod: core_v1.Pod,
        container: str,
        kind: ProbeKind,
        result: HandlerResult,
        *,
        decisive: bool,
    ) -> None:
        """Tell of a run that did not simply succeed. What changes a verdict (`decisive`) is always told."""
        now = self._now()
        if not decisive and now - self._last.get((container, kind), -QUIET) < QUIET:
            return
        self._last[container, kind] = now
        reason, message = said(kind, result)
        self._recorder.pod_event(pod, events.WARNING, reason, message[:MAX_MESSAGE], container=container)

    def say(self, pod: core_v1.Pod, reason: str, message: str) -> None:
        self._recorder.pod_event(pod, events.WARNING, reason, message)


def said(kind: ProbeKind, result: HandlerResult) -> tuple[str, str]:
    """Reason and message of the event about a result that is no plain success."""
    if result.outcome is Outcome.WARNING:
        return PROBE_WARNING, f"{kind} probe warning: {result.output}"
    if result.outcome is Outcome.UNKNOWN:
        return UNHEALTHY, f"{kind} probe errored and resulted in unknown state: {result.output}"
    return UNHEALTHY, f"{kind} probe failed: {result.output}"
