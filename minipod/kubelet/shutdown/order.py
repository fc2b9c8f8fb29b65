"""In which order pods end when the machine is shut down, and in which they come back: pure functions.

https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minipod.api import core_v1
from minipod.api.priorities import SYSTEM_CRITICAL, priority


@dataclass(frozen=True, slots=True)
class Group:
    """Pods from this priority up to the next group's end together, within this many seconds."""

    priority: int
    seconds: float


def shutdown_groups(total: float, critical: float) -> tuple[Group, ...]:
    """As kubelet makes them of shutdownGracePeriod and shutdownGracePeriodCriticalPods."""
    total = max(total, 0.0)
    kept = min(max(critical, 0.0), total)
    return Group(0, total - kept), Group(SYSTEM_CRITICAL, kept)


def in_groups(pods: Iterable[core_v1.Pod], groups: Sequence[Group]) -> list[tuple[Group, list[core_v1.Pod]]]:
    """Every pod in the highest group it reaches, else in the lowest; groups that end first come first."""
    ordered = sorted(groups, key=lambda group: group.priority)
    members: dict[Group, list[core_v1.Pod]] = {group: [] for group in ordered}
    for pod in pods:
        reached = [group for group in ordered if group.priority <= priority(pod)]
        members[reached[-1] if reached else ordered[0]].append(pod)
    return [(group, found) for group, found in members.items() if found]


def start_order(pods: Iterable[core_v1.Pod]) -> list[list[core_v1.Pod]]:
    """Pods of one priority together, the highest first; among them who was created first."""
    by_priority: dict[int, list[core_v1.Pod]] = {}
    for pod in sorted(pods, key=_age):
        by_priority.setdefault(priority(pod), []).append(pod)
    return [by_priority[key] for key in sorted(by_priority, reverse=True)]


def _age(pod: core_v1.Pod) -> tuple[str, int, str, str]:
    """creationTimestamp has whole seconds only; what the API made first has the lower version."""
    meta = pod.metadata
    version = meta.resourceVersion or ""
    number = int(version) if version.isdecimal() else 0
    return meta.creationTimestamp or "", number, meta.namespace or "", meta.name or ""
