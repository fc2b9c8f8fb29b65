"""What fits beside what is taken."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from minipod.api import codec, core_v1
from minipod.api.resource_fit import Taken, insufficient, requests

ROOM = {
    "cpu": Fraction(1),
    "memory": Fraction(1 << 30),
    "pods": Fraction(3),
    "hugepages-2Mi": Fraction(1 << 22),
}


def pod(*asked: dict[str, str], init: list[dict[str, Any]] | None = None, **spec: Any) -> core_v1.Pod:
    containers = [{"name": f"c{i}", "resources": {"requests": one}} for i, one in enumerate(asked)]
    return codec.from_builtins(
        core_v1.Pod,
        {
            "metadata": {"name": "p"},
            "spec": {"containers": containers, "initContainers": init or [], **spec},
        },
    )


def taken_by(others: list[dict[str, str]]) -> Taken:
    taken = Taken()
    for one in others:
        taken.add(requests(pod(one)))
    return taken


@pytest.mark.parametrize(
    ("asked", "others", "expected"),
    [
        ([{"cpu": "1"}], [], []),
        ([{}], [{"cpu": "1"}], []),
        ([{"cpu": "2"}], [], ["cpu, requested: 2000, used: 0, capacity: 1000"]),
        ([{"cpu": "600m"}], [{"cpu": "500m"}], ["cpu, requested: 600, used: 500, capacity: 1000"]),
        (
            [{"cpu": "2", "memory": "2Gi"}],
            [],
            [
                "cpu, requested: 2000, used: 0, capacity: 1000",
                "memory, requested: 2147483648, used: 0, capacity: 1073741824",
            ],
        ),
        ([{}], [{}, {}, {}], ["pods, requested: 1, used: 3, capacity: 3"]),
        (
            [{"hugepages-2Mi": "6Mi"}],
            [],
            ["hugepages-2Mi, requested: 6291456, used: 0, capacity: 4194304"],
        ),
        ([{"ephemeral-storage": "1"}], [], ["ephemeral-storage, requested: 1, used: 0, capacity: 0"]),
        ([{"memory": "512Mi"}, {"memory": "512Mi"}], [], []),
    ],
)
def test_fit(asked: list[dict[str, str]], others: list[dict[str, str]], expected: list[str]) -> None:
    found = insufficient(requests(pod(*asked)), ROOM, taken_by(others))
    assert [str(one) for one in found] == [f"Node didn't have enough resource: {text}" for text in expected]


def test_what_never_fits_is_told_from_what_has_to_wait() -> None:
    assert not insufficient({"cpu": Fraction(2)}, ROOM, Taken())[0].ever
    assert insufficient({"cpu": Fraction(1)}, ROOM, taken_by([{"cpu": "1"}]))[0].ever


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"init": [{"name": "i", "resources": {"requests": {"cpu": "3"}}}]}, 3),
        ({"init": [{"name": "i", "restartPolicy": "Always", "resources": {"requests": {"cpu": "3"}}}]}, 4),
        ({"overhead": {"cpu": "2"}}, 3),
        ({"resources": {"requests": {"cpu": "5"}}}, 5),
    ],
)
def test_effective_requests(spec: dict[str, Any], cpu: int) -> None:
    assert requests(pod({"cpu": "1"}, **spec))["cpu"] == cpu


def test_what_a_shrinking_pod_still_has_counts() -> None:
    one = pod({"cpu": "1"})
    one.status.containerStatuses = [core_v1.ContainerStatus(name="c0", allocatedResources={"cpu": "2"})]
    assert requests(one)["cpu"] == 2
    one.status.containerStatuses = [core_v1.ContainerStatus(name="c0", allocatedResources={"cpu": "500m"})]
    assert requests(one)["cpu"] == 1
