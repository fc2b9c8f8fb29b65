"""Sums, QoS class and oom_score_adj as Kubernetes documents them."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import pod_resources
from tests.unit.api.pods import container, pod


def asking(
    name: str = "c",
    *,
    requests: dict[str, str] | None = None,
    limits: dict[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    return container(name, resources={"requests": requests or {}, "limits": limits or {}}, **more)


def test_containers_add_up() -> None:
    made = pod(asking("a", requests={"cpu": "100m", "memory": "1Gi"}), asking("b", requests={"cpu": "1.5"}))
    assert pod_resources.pod_requests(made) == {"cpu": "1600m", "memory": "1Gi"}
    assert pod_resources.pod_limits(made) == {}


def test_init_containers_run_alone_so_the_greediest_counts() -> None:
    made = pod(
        asking("a", requests={"cpu": "1", "memory": "1Gi"}),
        initContainers=[
            asking("i", requests={"cpu": "3"}),
            asking("j", requests={"cpu": "2", "memory": "500Mi"}),
        ],
    )
    assert pod_resources.pod_requests(made) == {"cpu": "3", "memory": "1Gi"}


def test_a_sidecar_counts_beside_the_containers_and_beside_later_init_containers() -> None:
    made = pod(
        asking("a", requests={"cpu": "1"}),
        initContainers=[
            asking("before", requests={"cpu": "2"}),
            asking("side", requests={"cpu": "500m"}, restartPolicy="Always"),
            asking("after", requests={"cpu": "2"}),
        ],
    )
    assert pod_resources.pod_requests(made) == {"cpu": "2500m"}


def test_a_sidecar_that_ends_the_initialisation_still_counts() -> None:
    made = pod(
        asking("a", requests={"cpu": "1"}),
        initContainers=[asking("side", requests={"cpu": "500m", "memory": "1Mi"}, restartPolicy="Always")],
    )
    assert pod_resources.pod_requests(made) == {"cpu": "1500m", "memory": "1Mi"}


def test_overhead_is_added_to_requests_and_to_limits_there_are() -> None:
    made = pod(
        asking(requests={"cpu": "1"}, limits={"cpu": "1"}), overhead={"cpu": "250m", "memory": "64Mi"}
    )
    assert pod_resources.pod_requests(made) == {"cpu": "1250m", "memory": "64Mi"}
    assert pod_resources.pod_limits(made) == {"cpu": "1250m"}


def test_pod_level_resources_come_first() -> None:
    made = pod(
        asking(requests={"cpu": "1"}), resources={"requests": {"cpu": "3"}, "limits": {"memory": "2Gi"}}
    )
    assert pod_resources.pod_requests(made)["cpu"] == "3"
    assert pod_resources.pod_limits(made) == {"memory": "2Gi"}


def test_a_ceiling_needs_a_limit_on_every_container() -> None:
    made = pod(asking("a", limits={"cpu": "1", "memory": "1Gi"}), asking("b", limits={"memory": "1Gi"}))
    assert pod_resources.pod_limits(made) == {"cpu": "1", "memory": "2Gi"}
    assert pod_resources.pod_ceilings(made) == {"memory": "2Gi"}
    open_init = pod(asking("a", limits={"memory": "1Gi"}), initContainers=[container("i")])
    assert pod_resources.pod_ceilings(open_init) == {}


def test_quantities_that_cannot_be_read_count_as_absent() -> None:
    assert pod_resources.amounts({"cpu": "lots", "memory": "1Ki"}) == {"memory": 1024}


FULL = {"cpu": "1", "memory": "1Gi"}
QOS = [
    ([container()], {}, "BestEffort"),
    ([asking(requests={"ephemeral-storage": "1Gi"})], {}, "BestEffort"),
    ([asking(requests={"cpu": "0"})], {}, "BestEffort"),
    ([asking(limits=FULL)], {}, "Guaranteed"),
    ([asking(limits=FULL, requests=FULL)], {}, "Guaranteed"),
    ([asking(limits={"cpu": "1000m", "memory": "1024Mi"}, requests=FULL)], {}, "Guaranteed"),
    ([asking(limits=FULL, requests={"cpu": "500m"})], {}, "Burstable"),
    ([asking(limits={"cpu": "1"})], {}, "Burstable"),
    ([asking(requests=FULL)], {}, "Burstable"),
    ([asking(limits=FULL), container("d")], {}, "Burstable"),
    ([asking(limits=FULL)], {"initContainers": [container("i")]}, "Burstable"),
    ([asking(limits=FULL)], {"initContainers": [asking("i", limits=FULL)]}, "Guaranteed"),
    ([container()], {"resources": {"limits": FULL}}, "Guaranteed"),
    ([container()], {"resources": {"requests": {"cpu": "1"}}}, "Burstable"),
]


@pytest.mark.parametrize(("containers", "spec", "expected"), QOS)
def test_qos_class(containers: list[dict[str, Any]], spec: dict[str, Any], expected: str) -> None:
    assert pod_resources.qos_class(pod(*containers, **spec)) == expected


GIB = 2**30


@pytest.mark.parametrize(
    ("one", "spec", "expected"),
    [
        (container(), {}, 1000),
        (asking(limits=FULL), {}, -997),
        (asking(requests={"memory": "1Gi"}), {}, 900),
        (asking(requests={"memory": "10Gi"}), {}, 2),
        (asking(requests={"memory": "100Gi"}), {}, 2),
        (asking(requests={"cpu": "1"}), {}, 999),
        (asking(requests={"memory": "1Ki"}), {}, 999),
        (container(), {"priorityClassName": "system-node-critical"}, -997),
    ],
)
def test_oom_score_adj(one: dict[str, Any], spec: dict[str, Any], expected: int) -> None:
    made = pod(one, **spec)
    assert pod_resources.oom_score_adj(made, made.spec.containers[0], 10 * GIB) == expected


def test_a_sidecar_outlives_the_containers_it_serves() -> None:
    made = pod(
        asking("a", requests={"memory": "2Gi"}),
        asking("b", requests={"memory": "1Gi"}),
        initContainers=[
            asking("side", requests={"memory": "1Mi"}, restartPolicy="Always"),
            asking("init", requests={"cpu": "1"}),
        ],
    )
    side, init = made.spec.initContainers
    assert pod_resources.oom_score_adj(made, side, 10 * GIB) == 900
    assert pod_resources.oom_score_adj(made, init, 10 * GIB) == 999
