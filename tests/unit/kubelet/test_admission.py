"""Which pods this node refuses for good, and what it says of those it takes."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.kubelet.admission import admit, warnings
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


def test_a_pod_that_asks_for_nothing_runs_anywhere() -> None:
    assert admit(pod(), settings(host=NO_CONTROLLERS)) is None
