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
)
from minipod.kubelet.containers.limit_policy import LimitPolicy
from minipod.kubelet.containers.memory_files import swap_share, throttled_above
from minipod.kubelet.containers.node_groups import node_files, qos_files, share_of
from minipod.kubelet.settings import HostFacts
from tests.unit.kubelet.pods import UID, container, host, pod

BOTH = {"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "1", "memory": "64Mi"}}
SOME = {"requests": {"cpu": "250m"}}
USUAL = {"memory.oom.group": "1", "memory.swap.max": "0"}
MI = 1 << 20


def files_of(
    resources: dict[str, Any] | None,
    machine: HostFacts | None = None,
    policy: LimitPolicy | None = None,
    **spec: Any,
) -> dict[str, str]:
    """The files of the only container of a pod."""
    one = pod(container(resources=resources) if resources is not None else container(), **spec)
    return container_files(one, one.spec.containers[0], machine or host(), policy or LimitPolicy())


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
    assert files_of(BOTH) == {
        **USUAL,
        "cpu.weight": "100",
        "cpu.max": "100000 100000",
        "memory.max": str(64 << 20),
    }


def test_without_resources_a_container_has_the_least_weight_and_no_limit() -> None:
    assert files_of(None) == {**USUAL, "cpu.weight": "1"}


def test_a_request_of_nothing_weighs_nothing_whatever_the_limit() -> None:
    assert files_of({"requests": {"cpu": "0"}, "limits": {"cpu": "2"}})["cpu.weight"] == "1"


def test_nothing_is_written_for_controllers_that_are_not_there() -> None:
    bare = host(controllers=frozenset({"hugetlb"}))
    assert files_of(BOTH, bare) == {}
    assert pod_files(pod(container(resources=BOTH)), bare, pids_limit=5) == {}


def test_huge_pages_not_asked_for_are_denied_where_there_are_any() -> None:
    machine = host(hugepages={"2Mi": 1 << 30, "1Gi": 2 << 30})
    resources = {"limits": {"hugepages-2Mi": "4Mi", "cpu": "1"}, "requests": {"hugepages-2Mi": "4Mi"}}
    files = files_of(resources, machine)
    assert files["hugetlb.2MB.max"] == files["hugetlb.2MB.rsvd.max"] == str(4 << 20)
    assert files["hugetlb.1GB.max"] == files["hugetlb.1GB.rsvd.max"] == "0"


def test_huge_pages_of_one_container_are_the_pods_beside_others_that_want_none() -> None:
    machine = host(hugepages={"2Mi": 1 << 30})
    resources = {"limits": {"hugepages-2Mi": "4Mi", "cpu": "1"}}
    files = pod_files(pod(container(resources=resources), container("b")), machine)
    assert files["hugetlb.2MB.max"] == str(4 << 20)


def test_a_limit_of_the_pod_is_each_containers_own_where_it_has_none() -> None:
    level = {"limits": {"cpu": "2", "memory": "256Mi"}, "requests": {"cpu": "1", "memory": "128Mi"}}

    def files_below(own: dict[str, Any]) -> dict[str, str]:
        one = pod(container(resources=own), resources=level)
        return container_files(one, one.spec.containers[0], host(), LimitPolicy())

    inherited = files_below({})
    assert (inherited["cpu.max"], inherited["memory.max"]) == ("200000 100000", str(256 * MI))
    own = files_below(BOTH)
    assert (own["cpu.max"], own["memory.max"]) == ("100000 100000", str(64 * MI))
    files = pod_files(pod(container(resources=BOTH), resources=level), host())
    assert (files["cpu.max"], files["memory.max"], files["cpu.weight"]) == (
        "200000 100000",
        str(256 * MI),
        "100",
    )


def test_init_containers_and_sidecars_count_as_in_the_scheduler() -> None:
    def limits(cpu: str) -> dict[str, Any]:
        return {"resources": {"limits": {"cpu": cpu, "memory": "64Mi"}}}

    several = pod(
        container("main", **limits("1")),
        initContainers=[
            container("side", restartPolicy="Always", **limits("500m")),
            container("first", **limits("3")),
        ],
    )
    assert pod_files(several, host())["cpu.max"] == "350000 100000"
    assert pod_cgroup("minipod", several) == f"minipod/pod{UID}"


def test_one_process_or_all_of_the_container_is_killed_when_memory_runs_out() -> None:
    alone = LimitPolicy(single_process_oom_kill=True)
    assert files_of({}, policy=alone)["memory.oom.group"] == "0"
    assert files_of({})["memory.oom.group"] == "1"


SWAPPING = LimitPolicy(limited_swap=True, swap_capacity=4 << 30)
GI = "1Gi"


@pytest.mark.parametrize(
    ("resources", "spec", "policy", "expected"),
    [
        ({"requests": {"memory": GI}}, {}, SWAPPING, str(512 * MI)),
        ({"requests": {"memory": GI}, "limits": {"memory": "2Gi"}}, {}, SWAPPING, str(512 * MI)),
        ({"limits": {"memory": GI}}, {}, SWAPPING, "0"),  # the request is the limit
        ({"requests": {"cpu": "1"}}, {}, SWAPPING, "0"),
        ({}, {}, SWAPPING, "0"),
        (BOTH, {}, SWAPPING, "0"),
        ({"requests": {"memory": GI}}, {"priority": 2_000_000_000}, SWAPPING, "0"),
        ({"requests": {"memory": GI}}, {}, LimitPolicy(swap_capacity=4 << 30), "0"),
        ({"requests": {"memory": GI}}, {}, LimitPolicy(limited_swap=True), "0"),
        ({"requests": {"memory": GI}}, {}, LimitPolicy(limited_swap=True, swap_counted=False), None),
    ],
)
def test_swap_is_for_burstable_pods_by_their_share_of_memory(
    resources: dict[str, Any], spec: dict[str, Any], policy: LimitPolicy, expected: str | None
) -> None:
    assert files_of(resources, policy=policy, **spec).get("memory.swap.max") == expected


@given(st.lists(st.integers(0, 1 << 30), max_size=8), st.integers(0, 1 << 40))
def test_shares_of_swap_never_add_up_to_more_than_there_is(requests: list[int], swap: int) -> None:
    assert sum(swap_share(request, 8 << 30, swap) for request in requests) <= swap


QUALITY = LimitPolicy(memory_qos=True)


@pytest.mark.parametrize(
    ("resources", "policy", "low", "high"),
    [
        ({"requests": {"memory": "100Mi"}, "limits": {"memory": "200Mi"}}, QUALITY, 100 * MI, 190 * MI),
        ({"limits": {"memory": "100Mi"}}, QUALITY, 100 * MI, None),
        ({"requests": {"memory": "1Gi"}}, QUALITY, 1 << 30, 7838315315),  # of all the host's memory
        ({}, QUALITY, None, None),  # as the kubelet: throttled only where request and limit differ
        ({"requests": {"memory": "100Mi"}, "limits": {"memory": "200Mi"}}, LimitPolicy(), None, None),
        (
            {"requests": {"memory": "0"}, "limits": {"memory": "200Mi"}},
            LimitPolicy(memory_qos=True, memory_throttling_factor=0.5),
            None,
            100 * MI,
        ),
    ],
)
def test_memory_qos_protects_the_request_and_throttles_before_the_limit(
    resources: dict[str, Any], policy: LimitPolicy, low: int | None, high: int | None
) -> None:
    files = files_of(resources, policy=policy)
    assert files.get("memory.min") == (str(low) if low else None)
    assert files.get("memory.high") == (str(high // 4096 * 4096) if high else None)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.floats(0.1, 1.0))
def test_throttling_begins_between_request_and_limit_at_a_whole_page(
    request_: int, room: int, factor: float
) -> None:
    high = throttled_above(request_, request_ + room, factor)
    assert high % 4096 == 0
    assert request_ - 4096 < high <= request_ + room


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
    shares = list(map(share_of, pods))
    assert qos_files(shares, host(), LimitPolicy()) == {
        "": {},
        "burstable": {"cpu.weight": cpu_weight(Fraction(1, 2))},
        "besteffort": {"cpu.weight": "1"},
    }
    assert not any(qos_files(shares, host(controllers=frozenset()), QUALITY).values())


def test_memory_is_protected_on_every_level_above_a_pod() -> None:
    more = {"requests": {"memory": "32Mi"}}
    shares = [share_of(pod(container(resources=r))) for r in (BOTH, more, {})]
    files = qos_files(shares, host(), QUALITY)
    assert files[""]["memory.min"] == str(96 * MI)
    assert files["burstable"]["memory.min"] == str(32 * MI)
    assert "memory.min" not in files["besteffort"]
    assert pod_files(pod(container(resources=more)), host(), policy=QUALITY)["memory.min"] == str(32 * MI)


def test_all_pods_together_are_held_to_what_the_node_can_give() -> None:
    left = {
        "cpu": Fraction(3, 2),
        "memory": Fraction(7 << 30),
        "pid": Fraction(1000),
        "pods": Fraction(110),
        "hugepages-2Mi": Fraction(64 * MI),
    }
    assert node_files(left, host()) == {
        "cpu.weight": cpu_weight(Fraction(3, 2)),
        "memory.max": str(7 << 30),
        "pids.max": "1000",
        "hugetlb.2MB.max": str(64 * MI),
    }
    assert node_files(left, host(controllers=frozenset())) == {}


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
