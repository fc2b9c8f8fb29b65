"""The number that belongs to a built-in priority class is filled in when a Pod is created."""

from __future__ import annotations

import pytest

from minipod.api import core_v1
from minipod.api.errors import StatusError
from minipod.apiserver.registry.pods import PodStrategy


def created(**spec: object) -> core_v1.Pod:
    pod = core_v1.Pod(spec=core_v1.PodSpec(**spec))  # type: ignore[arg-type]
    PodStrategy().prepare_create(pod)
    return pod


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"priorityClassName": "system-node-critical"}, 2_000_001_000),
        ({"priorityClassName": "system-cluster-critical"}, 2_000_000_000),
        ({"priority": 12}, 12),
        ({}, None),
    ],
)
def test_priorities(spec: dict[str, object], expected: int | None) -> None:
    assert created(**spec).spec.priority == expected


def test_another_number_than_that_of_the_class_is_refused() -> None:
    with pytest.raises(StatusError, match="must not be provided in pod spec") as refused:
        created(priorityClassName="system-node-critical", priority=3)
    assert refused.value.code == 403
