"""A Node at length: its conditions, what it has, and what the pods on it ask of that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from minipod.api.quantity import format_binary, format_decimal, parse
from minipod.cli.descriptions.events import describe_events
from minipod.cli.descriptions.text import Text, date, epoch
from minipod.cli.durations import human_duration

Obj = dict[str, Any]

ROLE = "node-role.kubernetes.io/"

SYSTEM_INFO = (
    ("Machine ID", "machineID"),
    ("System UUID", "systemUUID"),
    ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
)


def describe_node(node: Obj, pods: Sequence[Obj], events: Sequence[Obj], now: float) -> str:
    """`pods` are those on this node that have not ended; `now` is seconds since the epoch."""
    text = Text()
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    labels = metadata.get("labels") or {}
    roles = sorted(key.removeprefix(ROLE) for key in labels if key.startswith(ROLE))
    text.field(0, "Name", metadata["name"])
    text.field(0, "Roles", ",".join(roles) or "<none>")
    text.mapping(0, "Labels", labels)
    text.annotations(metadata.get("annotations") or {})
    text.field(0, "CreationTimestamp", date(metadata.get("creationTimestamp")))
    text.field(0, "Taints", "\n".join(map(_taint, spec.get("taints") or ())) or "<none>")
    text.field(0, "Unschedulable", str(bool(spec.get("unschedulable"))).lower())
    _conditions(text, status.get("conditions") or [])
    _pairs(
        text, "Addresses", ((a.get("type", ""), a.get("address", "")) for a in status.get("addresses") or ())
    )
    _pairs(text, "Capacity", sorted((status.get("capacity") or {}).items()))
    _pairs(text, "Allocatable", sorted((status.get("allocatable") or {}).items()))
    info = status.get("nodeInfo") or {}
    _pairs(text, "System Info", ((name, info.get(key, "")) for name, key in SYSTEM_INFO))
    if spec.get("podCIDR"):
        text.field(0, "PodCIDR", spec["podCIDR"])
    if spec.get("podCIDRs"):
        text.field(0, "PodCIDRs", ",".join(spec["podCIDRs"]))
    allocatable = status.get("allocatable") or status.get("capacity") or {}
    _pods(text, pods, allocatable, now)
    _allocated(text, pods, allocatable)
    describe_events(text, events, now)
    return text.finish()


def _taint(taint: Obj) -> str:
    equals = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key', '')}{equals}:{taint.get('effect', '')}"


def _pairs(text: Text, heading: str, pairs: Iterable[tuple[str, Any]]) -> None:
    text.line(0, f"{heading}:")
    for name, amount in pairs:
        text.field(1, name, amount)


def _conditions(text: Text, conditions: list[Obj]) -> None:
    if not conditions:
        return
    text.line(0, "Conditions:")
    keys = ("type", "status", "lastHeartbeatTime", "lastTransitionTime", "reason", "message")
    rows = [
        [date(c.get(key)) if key.endswith("Time") else str(c.get(key, "")) for key in keys]
        for c in conditions
    ]
    text.rows(
        1,
        "Type Status LastHeartbeatTime LastTransitionTime Reason Message",
        [[f"{cell} " if at < len(row) - 1 else cell for at, cell in enumerate(row)] for row in rows],
        rule="---- ------ ----------------- ------------------ ------ -------",
    )


def _pods(text: Text, pods: Sequence[Obj], allocatable: Obj, now: float) -> None:
    text.field(0, "Non-terminated Pods", f"({len(pods)} in total)")
    rows = []
    for pod in pods:
        amounts = [
            _share(total([pod], kind, resource), allocatable.get(resource), resource)
            for resource in ("cpu", "memory")
            for kind in ("requests", "limits")
        ]
        created = epoch(pod["metadata"].get("creationTimestamp"))
        age = "<unknown>" if created is None else human_duration(now - created)
        rows.append([pod["metadata"].get("namespace", ""), pod["metadata"]["name"], "", *amounts, age])
    header = (
        "Namespace",
        "Name",
        "",
        "CPU Requests",
        "CPU Limits",
        "Memory Requests",
        "Memory Limits",
        "Age",
    )
    text.line(1, "\t".join(header))
    text.line(1, "\t".join("-" * len(word) for word in header))
    for row in rows:
        text.line(1, "\t".join(row))


def _allocated(text: Text, pods: Sequence[Obj], allocatable: Obj) -> None:
    text.line(0, "Allocated resources:")
    text.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)")
    resources = [
        "cpu",
        "memory",
        "ephemeral-storage",
        *sorted(r for r in allocatable if r.startswith("hugepages-")),
    ]
    rows = [
        [r, *(_share(total(pods, kind, r), allocatable.get(r), r) for kind in ("requests", "limits"))]
        for r in resources
    ]
    text.rows(1, "Resource Requests Limits", rows, rule="-------- -------- ------")


def total(pods: Iterable[Obj], kind: str, resource: str) -> Fraction:
    """What the pods ask of one resource. `kind`: requests or limits.

    Init containers run one by one, and only sidecars among them stay: the largest moment counts (KEP-753). What the
    pod asks for as a whole goes before that (KEP-2837); its overhead comes on top.
    """
    return sum((_of_pod(pod["spec"], kind, resource) for pod in pods), Fraction(0))


def _of_pod(spec: Obj, kind: str, resource: str) -> Fraction:
    whole = ((spec.get("resources") or {}).get(kind) or {}).get(resource)
    amount = _of_containers(spec, kind, resource) if whole is None else parse(str(whole))
    if kind == "requests" or amount:
        amount += parse(str((spec.get("overhead") or {}).get(resource, "0")))
    return amount


def _of_containers(spec: Obj, kind: str, resource: str) -> Fraction:
    sidecars = peak = Fraction(0)
    for container in spec.get("initContainers") or ():
        amount = _of_container(container, kind, resource)
        if container.get("restartPolicy") == "Always":
            sidecars += amount
            peak = max(peak, sidecars)
        else:
            peak = max(peak, sidecars + amount)
    running = sum((_of_container(c, kind, resource) for c in spec.get("containers") or ()), sidecars)
    return max(running, peak)


def _of_container(container: Obj, kind: str, resource: str) -> Fraction:
    amounts = (container.get("resources") or {}).get(kind) or {}
    return parse(str(amounts.get(resource, "0")))


def _share(amount: Fraction, capacity: str | None, resource: str) -> str:
    """`100m (5%)`"""
    whole = parse(capacity) if capacity else Fraction(0)
    percent = int(amount * 100 / whole) if whole else 0
    text = (
        format_decimal(amount)
        if resource in ("cpu", "ephemeral-storage") or not amount
        else format_binary(amount)
    )
    return f"{text} ({percent}%)"
