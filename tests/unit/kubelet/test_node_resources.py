"""What a node has and may give away."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.kubelet.eviction.types import EvictionSettings, eviction_settings
from minipod.kubelet.node_resources import allocatable, capacity, pods_limit, texts
from minipod.kubelet.node_status import build_node
from tests.unit.kubelet.pods import host, settings

GI = 1 << 30


def eviction(**hard: str) -> EvictionSettings:
    named = {name.replace("_", "."): text for name, text in hard.items()}
    return eviction_settings(
        hard=named, soft={}, soft_grace={}, minimum_reclaim={}, max_pod_grace=0, transition_period=300
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"cpu": "2", "memory": f"{8 * 1024 * 1024}Ki"}),
        ({"system_reserved": {"cpu": "500m"}, "kube_reserved": {"cpu": "100m"}}, {"cpu": "1400m"}),
        (
            {"system_reserved": {"memory": "1Gi"}, "eviction": eviction(memory_available="1Gi")},
            {"memory": f"{6 * 1024 * 1024}Ki"},
        ),
        ({"eviction": eviction(memory_available="50%")}, {"memory": f"{4 * 1024 * 1024}Ki"}),
        (
            {"host": host(ephemeral_storage=100 * GI), "eviction": eviction(nodefs_available="10%")},
            {"ephemeral-storage": f"{90 * 1024 * 1024}Ki"},
        ),
        ({"host": host(hugepages={"2Mi": GI})}, {"memory": f"{7 * 1024 * 1024}Ki", "hugepages-2Mi": "1Gi"}),
        ({"system_reserved": {"memory": "100Gi"}}, {"memory": "0Ki"}),
        ({"max_pods": 3}, {"pods": "3"}),
    ],
)
def test_allocatable(changes: dict[str, Any], expected: dict[str, str]) -> None:
    found = texts(allocatable(settings(**changes)))
    assert {name: found[name] for name in expected} == expected


def test_what_is_reserved_is_kept_from_the_pods_group_but_not_the_eviction_threshold() -> None:
    node = settings(
        system_reserved={"memory": "1Gi", "cpu": "1"}, eviction=eviction(memory_available="100Mi")
    )
    assert pods_limit(node)["memory"] == 7 * GI
    assert pods_limit(node)["cpu"] == 1
    assert allocatable(node)["memory"] == 7 * GI - 100 * (1 << 20)


def test_the_capacity_is_what_the_machine_has() -> None:
    node = settings(system_reserved={"memory": "1Gi"}, eviction=eviction(memory_available="100Mi"))
    assert texts(capacity(node)) == {"cpu": "2", "memory": f"{8 * 1024 * 1024}Ki", "pods": "110"}
    status = build_node(node, [], now="2026-01-01T00:00:00Z").status
    assert status.capacity["memory"] == f"{8 * 1024 * 1024}Ki"
    assert status.allocatable["memory"] == f"{(7 * 1024 - 100) * 1024}Ki"


def test_a_soft_threshold_without_a_grace_period_is_refused() -> None:
    with pytest.raises(ValueError, match=r"evictionSoft: memory.available .*evictionSoftGracePeriod"):
        eviction_settings(
            hard={},
            soft={"memory.available": "1Gi"},
            soft_grace={},
            minimum_reclaim={},
            max_pod_grace=0,
            transition_period=300,
        )


def test_thresholds_from_the_configuration() -> None:
    found = eviction_settings(
        hard={"memory.available": "100Mi", "nodefs.available": "0%"},
        soft={"memory.available": "10%"},
        soft_grace={"memory.available": 90.0},
        minimum_reclaim={"memory.available": "50Mi"},
        max_pod_grace=10,
        transition_period=60,
    ).thresholds
    assert [t.hard for t in found] == [True, False]  # a threshold of zero is none
    assert found[0].value.of(GI) == 100 << 20
    assert found[1].value.of(GI) == GI // 10
    assert found[1].grace == 90.0
    assert [t.minimum_reclaim.of(GI) if t.minimum_reclaim else None for t in found] == [50 << 20] * 2
