"""compute_pod_actions asked in one line."""

from __future__ import annotations

from typing import Any

from minipod.api import core_v1
from minipod.kubelet.backoff import BackOffPolicy
from minipod.kubelet.pods.actions import PodActions, Start, compute_pod_actions
from minipod.kubelet.status.records import ContainerRecord, histories, latest
from minipod.runtime.types import SandboxStatus
from tests.unit.kubelet.pods import container, pod
from tests.unit.kubelet.records import NOW

POLICY = BackOffPolicy(initial=10, maximum=300, reset=600)


def decide(made: core_v1.Pod, found: SandboxStatus | None, **known: Any) -> PodActions:
    """`known`: health, stopping, restarts, unwell and unstartable."""
    records: dict[str, ContainerRecord] = latest(histories(made, found))
    return compute_pod_actions(made, found, records, now=NOW, backoff=POLICY, **known)


def names(starts: tuple[Start, ...]) -> list[str]:
    return [start.name for start in starts]


def pod_of(policy: str = "Always", names: str = "main", init: str = "", **fields: Any) -> core_v1.Pod:
    return pod(
        *map(container, names.split()),
        initContainers=[container(n) for n in init.split()],
        restartPolicy=policy,
        **fields,
    )
