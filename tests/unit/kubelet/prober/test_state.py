"""Verdicts, gates and times of probes against the documented rules, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import core_v1, meta_v1
from minipod.kubelet.pods.health import HEALTHY, Health, Unhealthy
from minipod.kubelet.prober import state
from minipod.kubelet.prober.state import ProbeKind, ProbeState, Verdict
from minipod.kubelet.prober.types import Outcome

OUTCOMES = {"+": Outcome.SUCCESS, "-": Outcome.FAILURE, "!": Outcome.WARNING, "?": Outcome.UNKNOWN}
PENDING, SUCCESS, FAILURE = Verdict.PENDING, Verdict.SUCCESS, Verdict.FAILURE
STARTUP, LIVENESS, READINESS = ProbeKind.STARTUP, ProbeKind.LIVENESS, ProbeKind.READINESS


def probe(**fields: Any) -> core_v1.Probe:
    return core_v1.Probe(tcpSocket=core_v1.TCPSocketAction(port=1), **fields)


def after(kind: ProbeKind, answers: str, **fields: Any) -> Verdict:
    found = state.initial_states({kind: probe()}, None)[kind]
    for answer in answers:
        found = state.observe(found, OUTCOMES[answer], probe(**fields))
    return found.verdict


@pytest.mark.parametrize(
    ("kind", "answers", "fields", "verdict"),
    [
        (STARTUP, "", {}, PENDING),
        (LIVENESS, "", {}, SUCCESS),
        (READINESS, "", {}, FAILURE),
        (READINESS, "+", {}, SUCCESS),
        (READINESS, "!", {}, SUCCESS),
        (READINESS, "+--", {}, SUCCESS),
        (READINESS, "+---", {}, FAILURE),
        (READINESS, "+--+--", {}, SUCCESS),
        (READINESS, "+--?-", {}, FAILURE),
        (READINESS, "+????", {}, SUCCESS),
        (READINESS, "++", {"successThreshold": 3}, FAILURE),
        (READINESS, "++-++", {"successThreshold": 3}, FAILURE),
        (READINESS, "+++", {"successThreshold": 3}, SUCCESS),
        (READINESS, "++?+", {"successThreshold": 3}, SUCCESS),
        (READINESS, "+-", {"failureThreshold": 1}, FAILURE),
        (READINESS, "+++---+++", {"successThreshold": 3}, SUCCESS),
        (LIVENESS, "--", {}, SUCCESS),
        (LIVENESS, "---", {}, FAILURE),
        (LIVENESS, "--+--", {}, SUCCESS),
        (STARTUP, "-----", {"failureThreshold": 6}, PENDING),
        (STARTUP, "------", {"failureThreshold": 6}, FAILURE),
        (STARTUP, "-----+", {"failureThreshold": 6}, SUCCESS),
    ],
)
def test_verdict(kind: ProbeKind, answers: str, fields: dict[str, Any], verdict: Verdict) -> None:
    assert after(kind, answers, **fields) is verdict


def test_more_of_the_same_changes_nothing() -> None:
    first = state.observe(ProbeState(FAILURE), Outcome.SUCCESS, probe())
    assert state.observe(first, Outcome.SUCCESS, probe()) is first
    assert state.observe(first, Outcome.UNKNOWN, probe()) is first


def states(**verdicts: Verdict) -> dict[ProbeKind, ProbeState]:
    return {ProbeKind(name.title()): ProbeState(verdict) for name, verdict in verdicts.items()}


@pytest.mark.parametrize(
    ("verdicts", "due"),
    [
        ({}, []),
        ({"readiness": FAILURE}, [READINESS]),
        ({"readiness": SUCCESS, "liveness": SUCCESS}, [READINESS, LIVENESS]),
        ({"startup": PENDING, "readiness": FAILURE, "liveness": SUCCESS}, [STARTUP]),
        ({"startup": SUCCESS, "readiness": FAILURE, "liveness": SUCCESS}, [READINESS, LIVENESS]),
        ({"startup": SUCCESS}, []),
        ({"startup": FAILURE, "readiness": FAILURE, "liveness": SUCCESS}, []),
        ({"readiness": SUCCESS, "liveness": FAILURE}, [READINESS]),
    ],
)
def test_which_probes_run(verdicts: dict[str, Verdict], due: list[ProbeKind]) -> None:
    assert state.due_kinds(states(**verdicts)) == set(due)
    assert state.due_kinds(states(**verdicts), only_readiness=True) == set(due) & {READINESS}


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({}, HEALTHY),
        ({"readiness": FAILURE}, Health(ready=False)),
        ({"readiness": SUCCESS}, HEALTHY),
        ({"startup": PENDING}, Health(started=False, ready=False)),
        ({"startup": PENDING, "readiness": SUCCESS}, Health(started=False, ready=False)),
        ({"startup": SUCCESS, "readiness": FAILURE}, Health(ready=False)),
        (
            {"liveness": FAILURE},
            Health(unhealthy=Unhealthy(message="Container web failed liveness probe", grace=7)),
        ),
        (
            {"startup": FAILURE, "liveness": SUCCESS},
            Health(
                started=False,
                ready=False,
                unhealthy=Unhealthy(message="Container web failed startup probe", grace=7),
            ),
        ),
    ],
)
def test_health(verdicts: dict[str, Verdict], expected: Health) -> None:
    found = states(**verdicts)
    assert state.health("web", {k: probe(terminationGracePeriodSeconds=7) for k in found}, found) == expected


def test_an_adopted_container_is_what_it_was() -> None:
    probes = {kind: probe() for kind in ProbeKind}
    found = state.initial_states(probes, Health(started=True, ready=True))
    assert {k: s.verdict for k, s in found.items()} == dict.fromkeys(ProbeKind, SUCCESS)
    found = state.initial_states(probes, Health(started=True, ready=False))
    assert found[READINESS].verdict is FAILURE
    found = state.initial_states(probes, Health(started=False, ready=False))
    assert found[STARTUP].verdict is PENDING
    assert STARTUP not in state.initial_states({READINESS: probe()}, HEALTHY)


@pytest.mark.parametrize(
    ("kind", "initial", "age", "delay"),
    [
        (READINESS, None, 0.0, 0.0),
        (STARTUP, 0, 0.2, 0.0),
        (LIVENESS, 0, 0.2, 10.0),
        (LIVENESS, 3, 1.0, 2.0),
        (READINESS, 30, 0.5, 29.5),
        (READINESS, 30, 31.0, 0.0),
        (LIVENESS, 30, 31.0, 10.0),
    ],
)
def test_first_delay(kind: ProbeKind, initial: int | None, age: float, delay: float) -> None:
    assert state.first_delay(kind, probe(initialDelaySeconds=initial), age=age, period=10.0) == delay


@pytest.mark.parametrize(
    ("kind", "initial", "age", "delay"),
    [
        (READINESS, 0, 100.0, 2.5),
        (LIVENESS, 0, 100.0, 2.5),
        (LIVENESS, 30, 10.0, 20.0),
        (READINESS, 30, 29.0, 2.5),
    ],
)
def test_first_delay_of_what_has_passed_before(
    kind: ProbeKind, initial: int, age: float, delay: float
) -> None:
    given = probe(initialDelaySeconds=initial)
    assert state.first_delay(kind, given, age=age, period=10.0, phase=0.25) == delay


@pytest.mark.parametrize(
    ("due", "now", "period", "expected"),
    [
        (100.0, 100.001, 0.02, 100.02),
        (100.0, 100.5, 0.02, 100.5),
        (100.0, 100.001, 1.0, 101.0),
        (100.013, 100.02, 1.0, 101.05),
        (100.0, 103.011, 1.0, 103.05),
    ],
)
def test_next_due(due: float, now: float, period: float, expected: float) -> None:
    assert state.next_due(due, now, period) == pytest.approx(expected)


def test_ticks_on_the_grid_do_not_drift() -> None:
    due = 100.0
    for _ in range(1000):
        due = state.next_due(due, due + 0.003, 1.0)
    assert due == pytest.approx(1100.0)


def test_spread_is_a_fraction_and_differs() -> None:
    found = {state.spread(f"{n:064x}", kind) for n in range(50) for kind in ProbeKind}
    assert len(found) == 150
    assert min(found) >= 0
    assert max(found) < 1


@pytest.mark.parametrize(("text", "period"), [(None, None), ("10", 0.01), ("250", 0.25), ("60000", 60.0)])
def test_period_annotation(text: str | None, period: float | None) -> None:
    assert state.period_override(annotated(text)) == period


@pytest.mark.parametrize("text", ["", "9", "60001", "-20", "1e3", "20ms", "2.5", "٣٠", "9" * 5000])
def test_bad_period_annotation(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"metadata\.annotations\[minipod\.io/probe-period-ms\].*from 10 to 60000"
    ):
        state.period_override(annotated(text))


def annotated(text: str | None) -> core_v1.Pod:
    annotations = {} if text is None else {state.PERIOD_ANNOTATION: text}
    return core_v1.Pod(metadata=meta_v1.ObjectMeta(annotations=annotations))


def test_defaults_of_the_api() -> None:
    bare = probe()
    assert state.period_seconds(bare) == 10
    assert state.timeout_seconds(bare) == 1
    assert (state.success_threshold(bare), state.failure_threshold(bare)) == (1, 3)
