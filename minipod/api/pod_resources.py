"""What a pod as a whole asks for and may use, and what follows: QoS class and oom_score_adj.

Rules: kubernetes.io "Manage resources for containers", "Sidecar containers" (effective requests), "Pod QoS classes",
"Node-pressure eviction" (oom_score_adj). Sums come back as canonical quantities by resource name. Quantities that
cannot be read count as absent: validation reports them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fractions import Fraction

from minipod.api import quantity
from minipod.api.core_v1 import Container, EphemeralContainer, Pod, ResourceRequirements

CPU = "cpu"
MEMORY = "memory"
HUGE_PAGES = "hugepages-"

GUARANTEED_OOM_SCORE_ADJ = -997
BEST_EFFORT_OOM_SCORE_ADJ = 1000
NODE_CRITICAL = "system-node-critical"

Amounts = dict[str, Fraction]
"""Resource name -> amount."""


class QosClass(StrEnum):
    GUARANTEED = "Guaranteed"
    BURSTABLE = "Burstable"
    BEST_EFFORT = "BestEffort"


def amounts(quantities: Mapping[str, str]) -> Amounts:
    """{"cpu": "100m"} -> {"cpu": Fraction(1, 10)}: cores, bytes, pieces."""
    found = {}
    for name, text in quantities.items():
        try:
            found[name] = quantity.parse(text)
        except ValueError:
            continue
    return found


def is_sidecar(container: Container) -> bool:
    """Of an init container: whether it keeps running beside the others."""
    return container.restartPolicy == "Always"


def pod_requests(pod: Pod) -> dict[str, str]:
    """What the pod reserves: pod-level requests where set, else its containers' by the init rule; with overhead."""
    return _texts(effective_requests(pod))


def effective_requests(pod: Pod) -> Amounts:
    """pod_requests() as numbers."""
    sums = {**_aggregate(pod, "requests"), **_pod_level(pod, "requests")}
    return total((sums, amounts(pod.spec.overhead)))


def pod_limits(pod: Pod) -> dict[str, str]:
    """The sum of the limits there are, with overhead, even where a container leaves one open: see pod_ceilings."""
    return _texts(_limits(pod))


def pod_ceilings(pod: Pod) -> dict[str, str]:
    """pod_limits() of those resources that every container (or the pod itself) limits: what its cgroup can enforce."""
    pod_level = _pod_level(pod, "limits")
    limited = [_of(container, "limits") for container in (*pod.spec.containers, *pod.spec.initContainers)]
    return _texts(
        {
            name: amount
            for name, amount in _limits(pod).items()
            if name in pod_level or all(one.get(name) for one in limited)
        }
    )


def container_requests(pod: Pod) -> dict[str, str]:
    """Containers' and init containers' requests by the init rule alone: no overhead, no pod-level requests."""
    return _texts(_aggregate(pod, "requests"))


def container_limits(pod: Pod) -> dict[str, str]:
    """Containers' and init containers' limits by the init rule alone."""
    return _texts(_aggregate(pod, "limits"))


def qos_class(pod: Pod) -> str:
    """Guaranteed: cpu and memory limited everywhere and requests equal; BestEffort: neither mentioned; or Burstable."""
    if pod.spec.resources is not None and (pod.spec.resources.requests or pod.spec.resources.limits):
        holders = [pod.spec.resources]
    else:
        everyone = [*pod.spec.initContainers, *pod.spec.containers]
        holders = [container.resources or ResourceRequirements() for container in everyone]
    asked = [_compute(holder.requests) for holder in holders]
    limited = [_compute(holder.limits) for holder in holders]
    if not any(asked) and not any(limited):
        return QosClass.BEST_EFFORT.value
    everywhere = all(len(limit) == 2 for limit in limited)
    if everywhere and total(asked) == total(limited):
        return QosClass.GUARANTEED.value
    return QosClass.BURSTABLE.value


def oom_score_adj(pod: Pod, container: Container | EphemeralContainer, memory_capacity_bytes: int) -> int:
    """What the kernel's OOM killer adds to the container's score (-1000 never .. 1000 first)."""
    if pod.spec.priorityClassName == NODE_CRITICAL:
        return GUARANTEED_OOM_SCORE_ADJ
    match qos_class(pod):
        case QosClass.GUARANTEED:
            return GUARANTEED_OOM_SCORE_ADJ
        case QosClass.BEST_EFFORT:
            return BEST_EFFORT_OOM_SCORE_ADJ
    adjusted = _burstable(_memory_request(container), memory_capacity_bytes)
    if any(container is one or container.name == one.name for one in _sidecars(pod)):
        # A sidecar must not be killed before the containers it serves.
        smallest = min((_memory_request(one) for one in pod.spec.containers), default=0)
        adjusted = min(adjusted, _burstable(smallest, memory_capacity_bytes))
    return min(max(2, adjusted), 999)


def _burstable(request_bytes: int, capacity_bytes: int) -> int:
    return 1000 - (1000 * request_bytes) // max(capacity_bytes, 1)


def _memory_request(container: Container | EphemeralContainer) -> int:
    asked = _of(container, "requests").get(MEMORY, Fraction(0))
    return int(-(-asked // 1))


def _sidecars(pod: Pod) -> list[Container]:
    return [container for container in pod.spec.initContainers if is_sidecar(container)]


def _of(container: Container | EphemeralContainer, which: str) -> Amounts:
    return amounts(getattr(container.resources, which)) if container.resources else {}


def _aggregate(pod: Pod, which: str) -> Amounts:
    """All that run together, or the greediest moment of initialisation when that is more (resource by resource)."""
    running = total(_of(container, which) for container in pod.spec.containers)
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in pod.spec.initContainers:
        own = _of(container, which)
        if is_sidecar(container):
            running = total((running, own))
            sidecars = moment = total((sidecars, own))
        else:
            moment = total((sidecars, own))
        peak = _largest(peak, moment)
    return _largest(running, peak)


def _pod_level(pod: Pod, which: str) -> Amounts:
    if pod.spec.resources is None:
        return {}
    found = amounts(getattr(pod.spec.resources, which))
    return {name: amount for name, amount in found.items() if is_pod_level(name)}


def is_pod_level(name: str) -> bool:
    """Whether spec.resources may speak of this resource."""
    return name in (CPU, MEMORY) or name.startswith(HUGE_PAGES)


def _limits(pod: Pod) -> Amounts:
    sums = {**_aggregate(pod, "limits"), **_pod_level(pod, "limits")}
    overhead = {name: amount for name, amount in amounts(pod.spec.overhead).items() if sums.get(name)}
    return total((sums, overhead))


def _texts(found: Amounts) -> dict[str, str]:
    return {
        name: quantity.format_decimal(amount) if name == CPU else quantity.format_binary(amount)
        for name, amount in found.items()
    }


def _compute(quantities: Mapping[str, str]) -> Amounts:
    """The two resources that decide the QoS class, zero being the same as absent."""
    return {
        name: amount for name, amount in amounts(quantities).items() if name in (CPU, MEMORY) and amount > 0
    }


def total(many: Iterable[Amounts]) -> Amounts:
    """The sum, resource by resource."""
    sums: Amounts = {}
    for one in many:
        for name, amount in one.items():
            sums[name] = sums.get(name, Fraction(0)) + amount
    return sums


def _largest(left: Amounts, right: Amounts) -> Amounts:
    zero = Fraction(0)
    return {name: max(left.get(name, zero), right.get(name, zero)) for name in {**left, **right}}
