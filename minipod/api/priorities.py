"""Pod priority: who gives way to whom. The built-in classes have the values Kubernetes gives them.

https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from __future__ import annotations

from minipod.api.core_v1 import Pod

SYSTEM_CRITICAL = 2_000_000_000
"""From here on a pod is critical: never evicted, and let in under pressure."""

BUILT_IN_CLASSES = {
    "system-cluster-critical": SYSTEM_CRITICAL,
    "system-node-critical": SYSTEM_CRITICAL + 1000,
}


def priority(pod: Pod) -> int:
    """Without a number of its own it is that of its built-in class, or 0."""
    if pod.spec.priority is not None:
        return pod.spec.priority
    return BUILT_IN_CLASSES.get(pod.spec.priorityClassName or "", 0)


def is_critical(pod: Pod) -> bool:
    return priority(pod) >= SYSTEM_CRITICAL


def class_problem(pod: Pod) -> str:
    """Why the number in the spec contradicts the class; "" when it does not."""
    computed = BUILT_IN_CLASSES.get(pod.spec.priorityClassName or "")
    if computed is None or pod.spec.priority in (None, computed):
        return ""
    return (
        f"the integer value of priority ({pod.spec.priority}) must not be provided in pod spec; "
        f"priority admission controller computed {computed} from the given PriorityClass name"
    )
