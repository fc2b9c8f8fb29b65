"""Where a pod may run: affinities, tolerations, topology, scheduling gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minipod.api import names
from minipod.api.core_v1 import (
    Affinity,
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinityTerm,
    PodSchedulingGate,
    PodSpec,
    Toleration,
    TopologySpreadConstraint,
)
from minipod.api.field_errors import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    invalids,
    not_supported,
    required,
)
from minipod.api.validation import metadata, rules

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_WHEN_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")
_INCLUSION = ("Honor", "Ignore")


def scheduling(spec: PodSpec, path: str) -> Iterator[FieldError]:
    if spec.affinity is not None:
        yield from _affinity(spec.affinity, f"{path}.affinity")
    yield from tolerations(spec.tolerations, f"{path}.tolerations")
    yield from _gates(spec.schedulingGates, f"{path}.schedulingGates")
    for index, constraint in enumerate(spec.topologySpreadConstraints):
        yield from _spread(constraint, f"{path}.topologySpreadConstraints[{index}]")


def tolerations(found: Sequence[Toleration], path: str) -> Iterator[FieldError]:
    for index, one in enumerate(found):
        inner, operator = f"{path}[{index}]", one.operator or "Equal"
        if one.key:
            yield from invalids(f"{inner}.key", one.key, names.qualified_name(one.key))
        elif operator != "Exists":
            why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield invalid(f"{inner}.operator", one.operator or "", why)
        if one.tolerationSeconds is not None and one.effect != "NoExecute":
            why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield invalid(f"{inner}.effect", one.effect or "", why)
        yield from _toleration_value(one, operator, inner)
        yield from rules.one_of(f"{inner}.effect", one.effect, _EFFECTS, optional=True)


def _toleration_value(one: Toleration, operator: str, path: str) -> Iterator[FieldError]:
    value = one.value or ""
    match operator:
        case "Equal":
            yield from invalids(f"{path}.operator", value, names.label_value(value))
        case "Exists":
            if value:
                yield invalid(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'")
        case "Gt" | "Lt":
            if not value.lstrip("-").isdigit():
                yield invalid(
                    f"{path}.value", value, f"value must be an integer when `operator` is '{operator}'"
                )
        case _:
            yield not_supported(f"{path}.operator", operator, ("Equal", "Exists", "Lt", "Gt"))


def _gates(gates: Sequence[PodSchedulingGate], path: str) -> Iterator[FieldError]:
    seen = set()
    for index, gate in enumerate(gates):
        yield from invalids(f"{path}[{index}]", gate.name, names.qualified_name(gate.name))
        if gate.name in seen:
            yield duplicate(f"{path}[{index}]", gate.name)
        seen.add(gate.name)


def _affinity(affinity: Affinity, path: str) -> Iterator[FieldError]:
    if affinity.nodeAffinity is not None:
        yield from _node_affinity(affinity.nodeAffinity, f"{path}.nodeAffinity")
    for field in ("podAffinity", "podAntiAffinity"):
        found = getattr(affinity, field)
        if found is None:
            continue
        inner = f"{path}.{field}"
        for index, term in enumerate(found.requiredDuringSchedulingIgnoredDuringExecution):
            yield from _pod_term(term, f"{inner}.requiredDuringSchedulingIgnoredDuringExecution[{index}]")
        for index, weighted in enumerate(found.preferredDuringSchedulingIgnoredDuringExecution):
            place = f"{inner}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
            yield from _weight(weighted.weight, place)
            yield from _pod_term(weighted.podAffinityTerm, f"{place}.podAffinityTerm")


def _node_affinity(affinity: NodeAffinity, path: str) -> Iterator[FieldError]:
    needed = affinity.requiredDuringSchedulingIgnoredDuringExecution
    if needed is not None:
        inner = f"{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        if not needed.nodeSelectorTerms:
            yield required(inner, "must have at least one node selector term")
        for index, term in enumerate(needed.nodeSelectorTerms):
            yield from _node_term(term, f"{inner}[{index}]")
    for index, preferred in enumerate(affinity.preferredDuringSchedulingIgnoredDuringExecution):
        place = f"{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        yield from _weight(preferred.weight, place)
        yield from _node_term(preferred.preference, f"{place}.preference")


def _weight(weight: int, path: str) -> Iterator[FieldError]:
    if not 1 <= weight <= 100:
        yield invalid(f"{path}.weight", weight, "must be in the range 1-100")


def _node_term(term: NodeSelectorTerm, path: str) -> Iterator[FieldError]:
    for index, requirement in enumerate(term.matchExpressions):
        yield from _node_expression(requirement, f"{path}.matchExpressions[{index}]")
    for index, requirement in enumerate(term.matchFields):
        inner = f"{path}.matchFields[{index}]"
        if requirement.operator not in ("In", "NotIn"):
            yield invalid(f"{inner}.operator", requirement.operator, "not a valid selector operator")
        elif len(requirement.values) != 1:
            why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            yield required(f"{inner}.values", why)
        if requirement.key != "metadata.name":
            yield invalid(f"{inner}.key", requirement.key, "not a valid field selector key")


def _node_expression(requirement: NodeSelectorRequirement, path: str) -> Iterator[FieldError]:
    values = requirement.values
    match requirement.operator:
        case "In" | "NotIn":
            if not values:
                yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist":
            if values:
                why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield forbidden(f"{path}.values", why)
        case "Gt" | "Lt":
            if len(values) != 1:
                yield required(
                    f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"
                )
        case _:
            yield invalid(f"{path}.operator", requirement.operator, "not a valid selector operator")
    yield from invalids(f"{path}.key", requirement.key, names.qualified_name(requirement.key))
    for index, value in enumerate(values):
        yield from invalids(f"{path}.values[{index}]", value, names.label_value(value))


def _pod_term(term: PodAffinityTerm, path: str) -> Iterator[FieldError]:
    yield from metadata.label_selector(term.labelSelector, f"{path}.labelSelector")
    yield from metadata.label_selector(term.namespaceSelector, f"{path}.namespaceSelector")
    for name in term.namespaces:
        yield from invalids(f"{path}.namespace", name, names.dns_label(name))
    if not term.topologyKey:
        yield required(f"{path}.topologyKey", "can not be empty")
    else:
        yield from invalids(f"{path}.topologyKey", term.topologyKey, names.qualified_name(term.topologyKey))


def _spread(constraint: TopologySpreadConstraint, path: str) -> Iterator[FieldError]:
    if constraint.maxSkew <= 0:
        yield invalid(f"{path}.maxSkew", constraint.maxSkew, "must be greater than zero")
    if not constraint.topologyKey:
        yield required(f"{path}.topologyKey", "can not be empty")
    when = constraint.whenUnsatisfiable
    if when not in _WHEN_UNSATISFIABLE:
        yield not_supported(f"{path}.whenUnsatisfiable", when, _WHEN_UNSATISFIABLE)
    if constraint.minDomains is not None and constraint.minDomains <= 0:
        yield invalid(f"{path}.minDomains", constraint.minDomains, "must be greater than zero")
    for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        yield from rules.one_of(f"{path}.{field}", getattr(constraint, field), _INCLUSION, optional=True)
    yield from metadata.label_selector(constraint.labelSelector, f"{path}.labelSelector")
