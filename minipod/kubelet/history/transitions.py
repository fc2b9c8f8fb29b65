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
    failed: bool = False


def transitions(before: core_v1.PodStatus, after: core_v1.PodStatus) -> Iterator[Change]:
    """The pod's becoming Ready or ceasing to be it."""
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
