"""Which pods this node refuses for good, and what it says of those it takes."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api.pod_resources import amounts
from minipod.api.resource_fit import Taken
from minipod.kubelet.admission import admit, warnings
from minipod.kubelet.eviction.types import Pressure
from minipod.kubelet.settings import CgroupEnforcement
from tests.unit.kubelet.pods import container, host, pod, settings

NO_CONTROLLERS = host(controllers=frozenset({"hugetlb"}))
ASKS = container(resources={"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}})


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        (
            {"nodeSelector": {"disk": "ssd"}},
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        ({"os": {"name": "windows"}}, "PodOSNotSupported", "doesn't match node OS"),
        (
            {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
            "SysctlForbidden",
            'forbidden sysctl: "kernel.msgmax" not allowlisted',
        ),
    ],
)
def test_refusals(spec: dict[str, Any], reason: str, message: str) -> None:
    refused = admit(pod(**spec), settings())
    assert refused is not None
    assert refused.reason == reason
    assert message in refused.message


@pytest.mark.parametrize(
    "spec", [{}, {"nodeSelector": {"kubernetes.io/os": "linux"}}, {"os": {"name": "linux"}}]
)
def test_what_is_taken(spec: dict[str, Any]) -> None:
    assert admit(pod(ASKS, **spec), settings()) is None
    assert warnings(pod(ASKS, **spec), settings()) == []


def test_strict_refuses_what_cannot_be_enforced_and_names_the_way_out() -> None:
    refused = admit(pod(ASKS), settings(host=NO_CONTROLLERS))
    assert refused is not None
    assert refused.reason == "CgroupControllerMissing"
    for words in ("spec.containers[0].resources.requests.cpu", "controller cpu", "controller memory"):
        assert words in refused.message
    assert "--cgroup-enforcement=best-effort" in refused.message


def test_best_effort_takes_it_with_a_warning_for_each_controller() -> None:
    node = settings(host=NO_CONTROLLERS, enforcement=CgroupEnforcement.BEST_EFFORT)
    assert admit(pod(ASKS), node) is None
    said = warnings(pod(ASKS), node)
    assert [reason for reason, _ in said] == ["CgroupNotEnforced", "CgroupNotEnforced"]
    assert "not enforced" in said[0][1]


GUARANTEED = {"cpu": "100m", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("spec", "lowest", "refused"),
    [
        ({}, 0, False),
        ({"resources": {"requests": GUARANTEED}}, 0, False),
        ({"resources": {"requests": GUARANTEED, "limits": GUARANTEED}}, 0, True),
        ({"resources": {"requests": GUARANTEED, "limits": GUARANTEED}}, -1000, False),
        ({"resources": {"requests": GUARANTEED, "limits": GUARANTEED}}, -998, False),
        ({}, 1000, False),
    ],
)
def test_strict_refuses_pods_that_cannot_be_spared_by_the_oom_killer(
    spec: dict[str, Any], lowest: int, refused: bool
) -> None:
    asked = pod(container(**spec))
    found = admit(asked, settings(host=host(lowest_oom_score=lowest)))
    assert (found is not None) == refused
    if found is not None:
        assert found.reason == "OOMScoreNotPermitted"
        for words in ("oom_score_adj -997", f"not go below {lowest}", "CAP_SYS_RESOURCE", "best-effort"):
            assert words in found.message
    lenient = settings(host=host(lowest_oom_score=lowest), enforcement=CgroupEnforcement.BEST_EFFORT)
    assert admit(asked, lenient) is None


def test_critical_pods_are_to_be_spared_too() -> None:
    critical = pod(container(), priorityClassName="system-node-critical")
    found = admit(critical, settings(host=host(lowest_oom_score=0)))
    assert found is not None
    assert found.reason == "OOMScoreNotPermitted"


def test_a_pod_that_asks_for_nothing_runs_anywhere() -> None:
    assert admit(pod(), settings(host=NO_CONTROLLERS)) is None


def taken(pods: int = 0, **requests: str) -> Taken:
    return Taken(pods, amounts(requests))


@pytest.mark.parametrize(
    ("asked", "there", "reason", "message"),
    [
        (
            {"cpu": "3"},
            taken(),
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 3000, used: 0, capacity: 2000",
        ),
        ({"cpu": "1500m"}, taken(1, cpu="1"), "OutOfcpu", "requested: 1500, used: 1000, capacity: 2000"),
        ({"memory": "9Gi"}, taken(), "OutOfmemory", "requested: 9663676416, used: 0, capacity: 8589934592"),
        ({}, taken(110), "OutOfpods", "pods, requested: 1, used: 110, capacity: 110"),
        ({"ephemeral-storage": "1Gi"}, taken(), "OutOfephemeral-storage", "capacity: 0"),
        (
            {"hugepages-2Mi": "2Mi"},
            taken(),
            "OutOfhugepages-2Mi",
            "requested: 2097152, used: 0, capacity: 0",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    asked: dict[str, str], there: Taken, reason: str, message: str
) -> None:
    refused = admit(pod(container(resources={"requests": asked})), settings(), taken=there)
    assert refused is not None
    assert refused.reason == reason
    assert message in refused.message


def test_what_is_reserved_is_not_given_away() -> None:
    node = settings(system_reserved={"cpu": "1500m"})
    refused = admit(pod(container(resources={"requests": {"cpu": "1"}})), node)
    assert refused is not None
    assert refused.message.endswith("requested: 1000, used: 0, capacity: 500")


MEMORY, DISK = Pressure.MEMORY, Pressure.DISK


@pytest.mark.parametrize(
    ("pressures", "spec", "let_in"),
    [
        ([], {}, True),
        ([MEMORY], {}, False),
        ([MEMORY], {"containers": [container(resources={"requests": {"memory": "1Mi"}})]}, True),
        ([MEMORY, DISK], {"containers": [container(resources={"requests": {"memory": "1Mi"}})]}, False),
        (
            [MEMORY],
            {"tolerations": [{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]},
            True,
        ),
        ([DISK], {"tolerations": [{"operator": "Exists"}]}, False),
        ([DISK], {"priorityClassName": "system-node-critical"}, True),
        ([Pressure.PID], {}, False),
    ],
)
def test_under_pressure_only_some_are_let_in(
    pressures: list[Pressure], spec: dict[str, Any], let_in: bool
) -> None:
    refused = admit(pod(**spec), settings(), pressures=pressures)
    assert (refused is None) is let_in
    if refused:
        assert refused.reason == "Evicted"
        assert refused.message == f"The node had condition: [{' '.join(pressures)}]. "
