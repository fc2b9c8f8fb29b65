"""Which taints a toleration answers, and what priority a pod has."""

from __future__ import annotations

import pytest

from minipod.api import core_v1
from minipod.api.priorities import class_problem, is_critical, priority
from minipod.api.taints import untolerated

TAINT = core_v1.Taint(key="dedicated", value="db", effect="NoSchedule")


def pod(**spec: object) -> core_v1.Pod:
    return core_v1.Pod(spec=core_v1.PodSpec(**spec))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("toleration", "answers"),
    [
        (core_v1.Toleration(operator="Exists"), True),
        (core_v1.Toleration(key="dedicated", operator="Exists"), True),
        (core_v1.Toleration(key="dedicated", value="db"), True),
        (core_v1.Toleration(key="dedicated", value="web"), False),
        (core_v1.Toleration(key="dedicated", value="db", effect="NoSchedule"), True),
        (core_v1.Toleration(key="dedicated", value="db", effect="NoExecute"), False),
        (core_v1.Toleration(key="other", operator="Exists"), False),
        (core_v1.Toleration(key="dedicated", operator="Lt", value="3"), False),
    ],
)
def test_tolerations(toleration: core_v1.Toleration, answers: bool) -> None:
    node = core_v1.Node(spec=core_v1.NodeSpec(taints=[TAINT]))
    assert (untolerated(pod(tolerations=[toleration]), node) is None) is answers


@pytest.mark.parametrize(("operator", "answers"), [("Lt", True), ("Gt", False)])
def test_numbers_are_compared(operator: str, answers: bool) -> None:
    node = core_v1.Node(
        spec=core_v1.NodeSpec(taints=[core_v1.Taint(key="k", value="5", effect="NoExecute")])
    )
    one = core_v1.Toleration(key="k", operator=operator, value="9")
    assert (untolerated(pod(tolerations=[one]), node) is None) is answers


def test_a_wish_not_to_be_chosen_keeps_nobody_away() -> None:
    soft = core_v1.Taint(key="k", effect="PreferNoSchedule")
    assert untolerated(pod(), core_v1.Node(spec=core_v1.NodeSpec(taints=[soft]))) is None


@pytest.mark.parametrize(
    ("spec", "number", "critical"),
    [
        ({}, 0, False),
        ({"priority": 7}, 7, False),
        ({"priorityClassName": "high"}, 0, False),
        ({"priorityClassName": "system-cluster-critical"}, 2_000_000_000, True),
        ({"priorityClassName": "system-node-critical"}, 2_000_001_000, True),
    ],
)
def test_priorities(spec: dict[str, object], number: int, critical: bool) -> None:
    assert priority(pod(**spec)) == number
    assert is_critical(pod(**spec)) is critical


def test_a_number_that_contradicts_its_class() -> None:
    assert "computed 2000001000" in class_problem(pod(priorityClassName="system-node-critical", priority=5))
    assert class_problem(pod(priorityClassName="system-node-critical", priority=2_000_001_000)) == ""
    assert class_problem(pod(priority=5)) == ""
