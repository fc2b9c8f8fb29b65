"""What `minipod why` says of a container that minipod itself ended: the probe or hook that was the reason."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.kubelet.history.diagnosis import diagnose
from minipod.kubelet.history.entries import Entry, Step
from tests.unit.kubelet.test_history_diagnosis import (
    CRASHING,
    INITIALIZED,
    NOW,
    READY,
    a_pod,
    end,
    entry,
    running,
    status,
    terminated,
    waiting,
)

START = entry(Step.START, "started", 20, "app")
PROBE = entry(Step.PROBE, "Liveness probe failed: I am ill", 14, "app", failed=True)
SILENT = entry(Step.PROBE, "Liveness probe failed:", 14, "app", failed=True)
HOOK = entry(Step.HOOK, "PostStart hook sleep 1s failed after 1s", 14, "app", failed=True)
KILL = entry(Step.KILL, "Killing", 13, "app")
RESTARTED = status(ready=True, restartCount=1, state=running(5), lastState=terminated(0, "Completed", 12))


@pytest.mark.parametrize(
    ("pod", "entries", "text"),
    [
        (a_pod(CRASHING), [START, PROBE, KILL, end(12)], ': killed after "Liveness probe failed: I am ill"'),
        (a_pod(CRASHING), [START, SILENT, KILL, end(12)], ': killed after "Liveness probe failed"'),
        (a_pod(CRASHING), [START, HOOK, KILL, end(12, "bye")], f': killed after "{HOOK.message}"'),
        (a_pod(CRASHING), [START, PROBE, end(12, "bye")], ': "bye"'),
        (a_pod(CRASHING), [PROBE, START, KILL, end(12, "bye")], ': "bye"'),
        (
            a_pod(RESTARTED, conditions=[READY, INITIALIZED]),
            [START, PROBE, KILL, end(12)],
            ', last exit 0 Completed 12s ago: killed after "Liveness probe failed: I am ill"',
        ),
    ],
    ids=[
        "probe",
        "a probe without a word",
        "hook",
        "ended by itself",
        "a probe of the attempt before",
        "ready again",
    ],
)
def test_the_reason_for_a_kill_is_named(pod: Any, entries: list[Entry], text: str) -> None:
    assert diagnose("web", pod, entries, now=NOW).headline.endswith(text)


def test_what_never_ran_has_no_logs_to_look_at() -> None:
    crashing = status(
        restartCount=1,
        state=waiting("CrashLoopBackOff", "back-off 40s restarting"),
        lastState=terminated(128, "StartError", 12),
    )
    assert diagnose("web", a_pod(crashing), [], now=NOW).look == "minipod describe pod web"
