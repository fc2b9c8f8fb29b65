"""Which pod of the node a request means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from minipod.api import core_v1
from minipod.api.errors import StatusError
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.server.pod_lookup import find_worker
from tests.unit.api.pods import container, pod


@dataclass(frozen=True, slots=True)
class Worker:
    """What of a worker is looked at."""

    pod: core_v1.Pod


def worker(namespace: str, name: str) -> PodWorker:
    made = pod(container("app"))
    made.metadata.namespace, made.metadata.name = namespace, name
    return cast(PodWorker, Worker(made))


def test_the_newest_of_a_name_in_its_namespace_is_meant() -> None:
    ending, newest = worker("default", "web"), worker("default", "web")
    others = worker("other", "web"), worker("default", "db")
    assert find_worker([ending, newest, *others], "default", "web") is newest


def test_a_pod_that_is_not_here() -> None:
    with pytest.raises(StatusError) as refused:
        find_worker([worker("other", "web")], "default", "web")
    assert refused.value.code == 404
