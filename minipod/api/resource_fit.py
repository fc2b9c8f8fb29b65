"""Whether what a pod asks for fits beside what is taken on a node: counted as the scheduler and the kubelet count.

Rules: Kubernetes' NodeResourcesFit plugin, which the kubelet's admission shares. Pure.
https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from minipod.api import pod_resources
from minipod.api.core_v1 import Container, ContainerStatus, Pod
from minipod.api.pod_resources import CPU, HUGE_PAGES, MEMORY, Amounts

PODS = "pods"
EPHEMERAL_STORAGE = "ephemeral-storage"


@dataclass(frozen=True, slots=True)
class Insufficient:
    """One resource of which too little is left, in cores, bytes or pieces."""

    resource: str
    requested: Fraction
    used: Fraction
    capacity: Fraction

    @property
    def ever(self) -> bool:
        """Whether the node could hold it if nothing else were there."""
        return self.requested <= self.capacity

    def __str__(self) -> str:
        """The kubelet's sentence; cpu in thousandths of a core."""
        numbers = [units(self.resource, n) for n in (self.requested, self.used, self.capacity)]
        return "Node didn't have enough resource: {}, requested: {}, used: {}, capacity: {}".format(
            self.resource, *numbers
        )


@dataclass(slots=True)
class Taken:
    """What the pods on a node hold of it, those that have ended left out."""

    pods: int = 0
    requests: Amounts = field(default_factory=dict)

    def add(self, held: Amounts) -> None:
        """One more pod, with what requests() says of it."""
        self.pods += 1
        for name, amount in held.items():
            self.requests[name] = self.requests.get(name, Fraction(0)) + amount


def insufficient(asked: Amounts, allocatable: Amounts, taken: Taken) -> list[Insufficient]:
    """Every resource of which one more pod with these requests() finds too little, in Kubernetes' order."""
    found = []
    count = Fraction(taken.pods)
    if PODS in allocatable and count + 1 > allocatable[PODS]:
        found.append(Insufficient(PODS, Fraction(1), count, allocatable[PODS]))
    zero = Fraction(0)
    for name in _in_order(asked):
        wanted, used, whole = asked[name], taken.requests.get(name, zero), allocatable.get(name, zero)
        if wanted > 0 and wanted + used > whole:
            found.append(Insufficient(name, wanted, used, whole))
    return found


def requests(pod: Pod) -> Amounts:
    """What the pod holds of a node: what it asks for, and what a resize that has not shrunk it yet still has.

    By the init container and sidecar rule, pod-level requests and overhead included.
    """
    asked = pod_resources.effective_requests(pod)
    held = {status.name: status.allocatedResources for status in _statuses(pod) if status.allocatedResources}
    if not held or pod.spec.resources is not None:
        return asked
    more: Amounts = {}
    for container in _lasting(pod):
        own = pod_resources.amounts(container.resources.requests if container.resources else {})
        for name, amount in pod_resources.amounts(held.get(container.name, {})).items():
            surplus = amount - own.get(name, Fraction(0))
            if surplus > 0:
                more[name] = more.get(name, Fraction(0)) + surplus
    return pod_resources.total((asked, more))


def units(name: str, amount: Fraction) -> int:
    """As Kubernetes counts in its messages: thousandths of a core, bytes, pieces."""
    return math.ceil(amount * 1000) if name == CPU else math.ceil(amount)


def _in_order(asked: Mapping[str, Fraction]) -> list[str]:
    first = [name for name in (CPU, MEMORY, EPHEMERAL_STORAGE) if name in asked]
    return first + sorted(name for name in asked if name.startswith(HUGE_PAGES))


def _statuses(pod: Pod) -> list[ContainerStatus]:
    return [*pod.status.initContainerStatuses, *pod.status.containerStatuses]


def _lasting(pod: Pod) -> list[Container]:
    return [*(c for c in pod.spec.initContainers if pod_resources.is_sidecar(c)), *pod.spec.containers]
