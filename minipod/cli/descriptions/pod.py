"""A Pod at length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minipod.cli.descriptions.containers import describe_containers
from minipod.cli.descriptions.events import describe_events
from minipod.cli.descriptions.text import Text, date, epoch
from minipod.cli.descriptions.volumes import describe_volumes
from minipod.cli.durations import human_duration

Obj = dict[str, Any]

ENDED = ("Succeeded", "Failed")


def describe_pod(pod: Obj, events: Sequence[Obj], now: float) -> str:
    """`now`: seconds since the epoch, for ages."""
    text = Text()
    _head(text, pod)
    _status(text, pod, now)
    _addresses(text, pod.get("status") or {})
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            text.field(0, "Controlled By", f"{owner['kind']}/{owner['name']}")
    describe_containers(text, pod)
    _conditions(text, pod)
    describe_volumes(text, pod["spec"].get("volumes") or [])
    _placement(text, pod)
    describe_events(text, events, now)
    return text.finish()


def _head(text: Text, pod: Obj) -> None:
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    text.field(0, "Name", metadata["name"])
    text.field(0, "Namespace", metadata.get("namespace", ""))
    if spec.get("priority") is not None:
        text.field(0, "Priority", spec["priority"])
    for name, key in (
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Service Account", "serviceAccountName"),
    ):
        if spec.get(key):
            text.field(0, name, spec[key])
    node = spec.get("nodeName")
    text.field(0, "Node", f"{node}/{status.get('hostIP', '')}" if node else "<none>")
    if status.get("startTime"):
        text.field(0, "Start Time", date(status["startTime"]))
    text.mapping(0, "Labels", metadata.get("labels") or {})
    text.annotations(metadata.get("annotations") or {})


def _status(text: Text, pod: Obj, now: float) -> None:
    metadata, status = pod["metadata"], pod.get("status") or {}
    ends = epoch(metadata.get("deletionTimestamp"))
    if ends is not None and status.get("phase") not in ENDED:
        when = (
            f"lasts {human_duration(now - ends)}"
            if ends < now
            else f"ends within {human_duration(ends - now)}"
        )
        text.field(0, "Status", f"Terminating ({when})")
        text.field(0, "Termination Grace Period", f"{metadata.get('deletionGracePeriodSeconds', 0)}s")
    else:
        text.field(0, "Status", status.get("phase", ""))
    for name in ("reason", "message"):
        if status.get(name):
            text.field(0, name.title(), status[name])
    profile = ((pod["spec"].get("securityContext") or {}).get("seccompProfile") or {}).get("type")
    if profile:
        text.field(0, "SeccompProfile", profile)


def _addresses(text: Text, status: Obj) -> None:
    text.field(0, "IP", status.get("podIP", ""))
    addresses = status.get("podIPs") or []
    if not addresses:
        text.field(0, "IPs", "<none>")
        return
    text.line(0, "IPs:")
    for address in addresses:
        text.field(1, "IP", address.get("ip", ""))


def _conditions(text: Text, pod: Obj) -> None:
    conditions = (pod.get("status") or {}).get("conditions") or []
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    by_type = {condition["type"]: condition.get("status", "") for condition in conditions}
    for heading, names in (("Readiness Gates", gates), ("Conditions", list(by_type))):
        if names:
            text.line(0, f"{heading}:")
            rows = [[f"{name} ", f"{by_type.get(name, '<none>')} "] for name in names]
            text.rows(1, "Type Status", rows)


def _placement(text: Text, pod: Obj) -> None:
    spec = pod["spec"]
    text.field(0, "QoS Class", (pod.get("status") or {}).get("qosClass", ""))
    text.mapping(0, "Node-Selectors", spec.get("nodeSelector") or {})
    lines = [
        _toleration(t) for t in sorted(spec.get("tolerations") or (), key=lambda t: str(t.get("key", "")))
    ]
    text.field(0, "Tolerations", "\n".join(lines) or "<none>")


def _toleration(toleration: Obj) -> str:
    operator = toleration.get("operator", "")
    line = str(toleration.get("key", ""))
    if toleration.get("value"):
        line += f"={toleration['value']}"
    if toleration.get("effect"):
        line += f":{toleration['effect']}"
    if operator == "Exists" and not toleration.get("value"):
        line += " op=Exists" if line else "op=Exists"
    if toleration.get("tolerationSeconds") is not None:
        line += f" for {toleration['tolerationSeconds']}s"
    return line
