"""Field selectors ("status.phase=Running,spec.nodeName!=a"): which fields each resource offers, and matching.

kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors; only these fields can be selected on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from minipod.api.scheme import EVENTS, NAMESPACES, NODES, PODS, Resource

Getter = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True)
class Requirement:
    field: str
    value: str
    equal: bool
    """False for `!=`."""
    get: Getter

    def matches(self, obj: Any) -> bool:
        return ((self.get(obj) or "") == self.value) is self.equal

    def __str__(self) -> str:
        return f"{self.field}{'=' if self.equal else '!='}{self.value}"


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements together; none at all selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, obj: Any) -> bool:
        return all(requirement.matches(obj) for requirement in self.requirements)

    def exact(self, field: str) -> str | None:
        """The one value `field` must have, None when the selector does not say."""
        for requirement in self.requirements:
            if requirement.field == field and requirement.equal:
                return requirement.value
        return None

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = Selector()


def parse(text: str, resource: Resource) -> Selector:
    """Raises ValueError in Kubernetes' words: bad syntax, or a field `resource` does not offer."""
    known = selectable(resource)
    found = []
    for part in sorted(part for part in text.split(",") if part):
        field, value, equal = _split(text, part)
        get = known.get(field)
        if get is None:
            raise ValueError(f"field label not supported: {field} (supported: {', '.join(sorted(known))})")
        found.append(Requirement(field, value, equal, get))
    return Selector(tuple(found))


def selectable(resource: Resource) -> Mapping[str, Getter]:
    """Field name -> how to read it off an object."""
    return _METADATA | _FIELDS.get((resource.group, resource.plural), {})


def _split(text: str, part: str) -> tuple[str, str, bool]:
    for operator in ("!=", "==", "="):
        pieces = part.split(operator)
        if len(pieces) == 2:
            return pieces[0].strip(), pieces[1].strip(), operator != "!="
    raise ValueError(f"invalid selector: '{text}'; can't understand '{part}'")


def _flag(value: bool | None) -> str:
    return "true" if value else "false"


_METADATA: dict[str, Getter] = {
    "metadata.name": lambda obj: obj.metadata.name,
    "metadata.namespace": lambda obj: obj.metadata.namespace,
}
_POD: dict[str, Getter] = {
    "spec.nodeName": lambda pod: pod.spec.nodeName,
    "spec.restartPolicy": lambda pod: pod.spec.restartPolicy,
    "spec.schedulerName": lambda pod: pod.spec.schedulerName,
    "spec.serviceAccountName": lambda pod: pod.spec.serviceAccountName,
    "spec.hostNetwork": lambda pod: _flag(pod.spec.hostNetwork),
    "status.phase": lambda pod: pod.status.phase,
    "status.podIP": lambda pod: pod.status.podIP,
    "status.nominatedNodeName": lambda pod: pod.status.nominatedNodeName,
}
_EVENT: dict[str, Getter] = {
    "involvedObject.kind": lambda event: event.involvedObject.kind,
    "involvedObject.namespace": lambda event: event.involvedObject.namespace,
    "involvedObject.name": lambda event: event.involvedObject.name,
    "involvedObject.uid": lambda event: event.involvedObject.uid,
    "involvedObject.apiVersion": lambda event: event.involvedObject.apiVersion,
    "involvedObject.resourceVersion": lambda event: event.involvedObject.resourceVersion,
    "involvedObject.fieldPath": lambda event: event.involvedObject.fieldPath,
    "reason": lambda event: event.reason,
    "reportingComponent": lambda event: event.reportingComponent,
    "source": lambda event: (event.source and event.source.component) or event.reportingComponent,
    "type": lambda event: event.type,
}
_FIELDS: dict[tuple[str, str], dict[str, Getter]] = {
    (PODS.group, PODS.plural): _POD,
    (EVENTS.group, EVENTS.plural): _EVENT,
    (NODES.group, NODES.plural): {"spec.unschedulable": lambda node: _flag(node.spec.unschedulable)},
    (NAMESPACES.group, NAMESPACES.plural): {"status.phase": lambda namespace: namespace.status.phase},
}
