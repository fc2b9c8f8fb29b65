"""Taints and tolerations, and the taints that a node has because of its conditions.

https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from __future__ import annotations

from collections.abc import Iterator

from minipod.api import pod_resources
from minipod.api.core_v1 import Node, Pod, Taint, Toleration

NO_SCHEDULE = "NoSchedule"
_KEEPS_OUT = (NO_SCHEDULE, "NoExecute")

MEMORY_PRESSURE = Taint(key="node.kubernetes.io/memory-pressure", effect=NO_SCHEDULE)
_OF_CONDITION = {
    "MemoryPressure": MEMORY_PRESSURE,
    "DiskPressure": Taint(key="node.kubernetes.io/disk-pressure", effect=NO_SCHEDULE),
    "PIDPressure": Taint(key="node.kubernetes.io/pid-pressure", effect=NO_SCHEDULE),
}


def untolerated(pod: Pod, node: Node) -> Taint | None:
    """The first taint that keeps the pod off the node."""
    return next((taint for taint in node_taints(node) if not tolerates(pod, taint)), None)


def node_taints(node: Node) -> Iterator[Taint]:
    """Those in its spec that keep pods out, and those its conditions amount to."""
    yield from (taint for taint in node.spec.taints if taint.effect in _KEEPS_OUT)
    for condition in node.status.conditions:
        if condition.status == "True" and condition.type in _OF_CONDITION:
            yield _OF_CONDITION[condition.type]


def tolerates(pod: Pod, taint: Taint) -> bool:
    """Kubernetes gives every pod that is not BestEffort a toleration of memory pressure."""
    if taint.key == MEMORY_PRESSURE.key and pod_resources.qos_class(pod) != "BestEffort":
        return True
    return any(_matches(toleration, taint) for toleration in pod.spec.tolerations)


def _matches(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    operator, wanted, value = toleration.operator or "Equal", toleration.value or "", taint.value or ""
    match operator:
        case "Exists":
            return True
        case "Equal":
            return bool(toleration.key) and wanted == value
        case "Lt" | "Gt":
            return _compares(operator, wanted, value)
        case _:
            return False


def _compares(operator: str, wanted: str, value: str) -> bool:
    """Numbers (KEP-5471): the taint's value has to be less or greater than the toleration's."""
    try:
        return int(value) < int(wanted) if operator == "Lt" else int(value) > int(wanted)
    except ValueError:
        return False
