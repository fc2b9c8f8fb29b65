"""What changed between two statuses of a pod that a timeline has to tell: pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from minipod.api import core_v1
from minipod.kubelet.history.entries import Step


@dataclass(frozen=True, slots=True)
class Change:
    step: Step
    message: str
    container: str = ""
    failed: bool = False


def transitions(pod: core_v1.Pod, before: core_v1.PodStatus, after: core_v1.PodStatus) -> Iterator[Change]:
    """Probes that have begun to succeed, and the pod's becoming Ready or ceasing to be it."""
    containers = (*pod.spec.initContainers, *pod.spec.containers)
    probed = {c.name: c for c in containers if c.startupProbe or c.readinessProbe}
    old = {s.name: s for s in _statuses(before)} if probed else {}
    for status in _statuses(after) if probed else ():
        container, earlier = probed.get(status.name), old.get(status.name)
        if container is None or not (status.state and status.state.running):
            continue
        if container.startupProbe and status.started and not (earlier and earlier.started):
            yield Change(Step.PROBE, "startup probe succeeded", status.name)
        if container.readinessProbe and status.ready and not (earlier and earlier.ready):
            yield Change(Step.PROBE, "readiness probe succeeded", status.name)
    was, now = condition_status(before, "Ready"), condition_status(after, "Ready")
    if now == "True" and was != "True":
        yield Change(Step.READY, "the pod is Ready")
    elif was == "True" and now != "True":
        yield Change(Step.READY, "the pod is no longer Ready", failed=after.phase != "Succeeded")


def condition_status(status: core_v1.PodStatus, type_: str) -> str:
    """ "True", "False", "Unknown" or nothing."""
    for condition in status.conditions:
        if condition.type == type_:
            return condition.status
    return ""


def _statuses(status: core_v1.PodStatus) -> list[core_v1.ContainerStatus]:
    return [*status.initContainerStatuses, *status.containerStatuses]
