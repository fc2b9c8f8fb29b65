"""Requests and limits: names of resources, amounts, and how the two must relate."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from minipod.api import names, pod_resources, quantity
from minipod.api.core_v1 import Pod, ResourceRequirements
from minipod.api.field_errors import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    invalids,
    not_found,
    not_supported,
    required,
)
from minipod.api.validation import rules

_OVERCOMMITTABLE = ("cpu", "memory", "ephemeral-storage")
_STANDARD = frozenset(
    {*_OVERCOMMITTABLE, "storage", "pods", "services", "secrets", "configmaps", "resourcequotas"}
)


def container_resources(
    resources: ResourceRequirements | None, claims: Collection[str], path: str
) -> Iterator[FieldError]:
    """`claims`: the names in spec.resourceClaims."""
    if resources is None:
        return
    for name, text in resources.limits.items():
        yield from _amount(name, text, f"{path}.limits[{name}]")
    for name, text in resources.requests.items():
        if resources.limits.get(name) != text:  # else said already: a request left out is its limit
            yield from _amount(name, text, f"{path}.requests[{name}]")
    yield from _relation(resources, path)
    mentioned = {*resources.limits, *resources.requests}
    if any(_huge(name) for name in mentioned) and not mentioned & {"cpu", "memory"}:
        yield forbidden(path, "HugePages require cpu or memory")
    seen = set()
    for index, claim in enumerate(resources.claims):
        inner = f"{path}.claims[{index}]"
        if not claim.name:
            yield required(f"{inner}.name")
        elif (claim.name, claim.request) in seen:
            yield duplicate(inner, claim.name)
        elif claim.name not in claims:
            yield not_found(f"{inner}.name", claim.name)
        seen.add((claim.name, claim.request))


def pod_level_resources(pod: Pod, path: str) -> Iterator[FieldError]:
    """spec.resources (KEP-2837): few resources, not less than what the containers ask for."""
    own = pod.spec.resources
    if own is None:
        return
    if own.claims:
        yield forbidden(f"{path}.claims", "claims cannot be set for Resources at pod-level")
    for which, quantities in (("limits", own.limits), ("requests", own.requests)):
        for name, text in quantities.items():
            inner = f"{path}.{which}[{name}]"
            if not pod_resources.is_pod_level(name):
                yield not_supported(inner, name, ["cpu", "memory", "hugepages-*"])
            else:
                yield from _amount(name, text, inner)
    yield from _relation(own, path)
    declared = pod_resources.amounts(own.requests)
    for name, text in pod_resources.container_requests(pod).items():
        if name in declared and quantity.parse(text) > declared[name]:
            why = f"must be greater than or equal to aggregate container requests of {text}"
            yield invalid(f"{path}.requests[{name}]", own.requests[name], why)
    ceilings = pod_resources.amounts(own.limits)
    for index, container in enumerate(pod.spec.containers):
        limits = container.resources.limits if container.resources is not None else {}
        for name, amount in pod_resources.amounts(limits).items():
            if name in ceilings and amount > ceilings[name]:
                why = f"must be less than or equal to pod limits of {own.limits[name]}"
                yield invalid(f"spec.containers[{index}].resources.limits[{name}]", limits[name], why)


def overhead(quantities: Mapping[str, str], path: str) -> Iterator[FieldError]:
    for name, text in quantities.items():
        yield from _amount(name, text, f"{path}[{name}]")


def _amount(name: str, text: str, path: str) -> Iterator[FieldError]:
    yield from _resource_name(name, path)
    problems = list(rules.readable_quantity(path, text))
    yield from problems
    if problems:
        return
    amount = quantity.parse(text)
    if name not in _OVERCOMMITTABLE and not _huge(name) and amount.denominator != 1:
        yield invalid(path, text, "must be an integer")
    if _huge(name) and name != pod_resources.HUGE_PAGES:
        yield from _huge_page_multiple(name, text, path)


def _huge_page_multiple(name: str, text: str, path: str) -> Iterator[FieldError]:
    size = name.removeprefix(pod_resources.HUGE_PAGES)
    try:
        page = quantity.parse(size)
    except ValueError:
        yield invalid(path, name, f"{size!r} is not a huge page size")
        return
    if page <= 0 or quantity.parse(text) % page:
        yield invalid(path, text, f"{text} is not positive integer multiple of {size}")


def _resource_name(name: str, path: str) -> Iterator[FieldError]:
    problems = names.qualified_name(name)
    yield from invalids(path, name, problems)
    if problems:
        return
    prefix, slash, _ = name.partition("/")
    if not slash:
        if name not in _STANDARD and not _huge(name):
            yield invalid(path, name, "must be a standard resource type or fully qualified")
        if name not in _OVERCOMMITTABLE and not _huge(name):
            yield invalid(path, name, "must be a standard resource for containers")
    elif prefix.startswith("requests."):
        yield invalid(path, name, "doesn't follow extended resource name standard")


def _relation(resources: ResourceRequirements, path: str) -> Iterator[FieldError]:
    limits = pod_resources.amounts(resources.limits)
    for name, amount in pod_resources.amounts(resources.requests).items():
        asked = resources.requests[name]
        if name not in limits:
            if name not in _OVERCOMMITTABLE:
                yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        elif amount != limits[name] and name not in _OVERCOMMITTABLE:
            why = f"must be equal to {name} limit of {resources.limits[name]}"
            yield invalid(f"{path}.requests", asked, why)
        elif amount > limits[name]:
            why = f"must be less than or equal to {name} limit of {resources.limits[name]}"
            yield invalid(f"{path}.requests", asked, why)


def _huge(name: str) -> bool:
    return name.startswith(pod_resources.HUGE_PAGES)
