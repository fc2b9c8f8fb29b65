"""From requests and limits to the kernel's files."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.kubelet.containers.cgroups import (
    container_files,
    cpu_max,
    cpu_weight,
    missing_controllers,
    pod_cgroup,
    pod_files,
    qos_weights,
)
from tests.unit.kubelet.pods import UID, container, host, one, pod

BOTH = {"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "1", "memory": "64Mi"}}
SOME = {"requests": {"cpu": "250m"}}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (BOTH, f"minipod/pod{UID}"),
        (SOME, f"minipod/burstable/pod{UID}"),
        ({}, f"minipod/besteffort/pod{UID}"),
    ],
)
def test_a_pod_lives_below_its_qos_class(resources: dict[str, Any], expected: str) -> None:
    assert pod_cgroup("minipod", pod(container(resources=resources))) == expected


@pytest.mark.parametrize(("milli", "weight"), [(0, "1"), (1000, "100"), (100, "17"), (256_000, "10000")])
def test_cpu_weight_meets_the_documented_points(milli: int, weight: str) -> None:
    assert cpu_weight(Fraction(milli, 1000)) == weight


@given(st.integers(0, 300_000), st.integers(0, 300_000))
def test_more_cpu_never_weighs_less_and_stays_in_the_kernels_range(a: int, b: int) -> None:
    less, more = sorted((a, b))
    low, high = int(cpu_weight(Fraction(less, 1000))), int(cpu_weight(Fraction(more, 1000)))
    assert 1 <= low <= high <= 10_000


def test_cpu_max_has_a_smallest_quota() -> None:
    assert cpu_max(Fraction(1, 2)) == "50000 100000"
    assert cpu_max(Fraction(1, 1000)) == "1000 100000"
    assert cpu_max(3) == "300000 100000"


def test_a_containers_files() -> None:
    files = container_files(one(resources=BOTH).resources, host())
    assert files == {
        "cpu.weight": "100",
        "cpu.max": "100000 100000",
        "memory.max": str(64 << 20),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
    }


def test_without_resources_a_container_has_the_least_weight_and_no_limit() -> None:
    assert container_files(None, host()) == {"cpu.weight": "1"}


def test_nothing_is_written_for_controllers_that_are_not_there() -> None:
    bare = host(controllers=frozenset({"hugetlb"}))
    assert container_files(one(resources=BOTH).resources, bare) == {}
    assert pod_files(pod(container(resources=BOTH)), bare, pids_limit=5) == {}


def test_huge_pages_not_asked_for_are_denied_where_there_are_any() -> None:
    machine = host(hugepages={"2Mi": 1 << 30, "1Gi": 2 << 30})
    resources = {"limits": {"hugepages-2Mi": "4Mi", "cpu": "1"}, "requests": {"hugepages-2Mi": "4Mi"}}
    files = container_files(one(resources=resources).resources, machine)
    assert files["hugetlb.2MB.max"] == str(4 << 20)
    assert files["hugetlb.1GB.max"] == "0"


def test_a_pod_is_limited_only_where_every_container_is() -> None:
    free = container("b", resources=SOME)
    files = pod_files(pod(container("a", resources=BOTH), free), host())
    assert "cpu.max" not in files
    assert "memory.max" not in files
    files = pod_files(
        pod(container("a", resources=BOTH), container("b", resources=BOTH)), host(), pids_limit=9
    )
    assert files["cpu.max"] == "200000 100000"
    assert files["memory.max"] == str(128 << 20)
    assert files["pids.max"] == "9"


def test_qos_groups_weigh_what_their_pods_request() -> None:
    pods = [pod(container(resources=r)) for r in (BOTH, SOME, SOME, {})]
    assert qos_weights(pods, host()) == {"burstable": cpu_weight(Fraction(1, 2)), "besteffort": "1"}
    assert qos_weights(pods, host(controllers=frozenset())) == {}


@pytest.mark.parametrize(
    ("resources", "controllers", "expected"),
    [
        ({"requests": {"cpu": "100m"}}, {"memory"}, ["cpu"]),
        ({"limits": {"memory": "1Mi"}}, {"cpu"}, ["memory"]),
        ({"requests": {"memory": "1Mi"}}, set(), []),  # a memory request needs no controller
        (BOTH, set(), ["cpu", "memory"]),
        (BOTH, {"cpu", "memory"}, []),
        ({"limits": {"hugepages-2Mi": "2Mi", "cpu": "1"}}, {"cpu"}, ["hugetlb"]),
        ({}, set(), []),
    ],
)
def test_missing_controllers_are_named_once_with_the_field(
    resources: dict[str, Any], controllers: set[str], expected: list[str]
) -> None:
    machine = host(controllers=frozenset(controllers))
    found = missing_controllers(
        pod(container(resources=resources), container("b", resources=resources)), machine
    )
    assert [m.controller for m in found] == expected
    assert all(m.field.startswith("spec.containers[0].resources.") for m in found)
