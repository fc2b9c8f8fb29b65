"""Environment variables: literal, and taken from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from minipod.api import names, quantity
from minipod.api.core_v1 import (
    ConfigMapKeySelector,
    EnvFromSource,
    EnvVar,
    ObjectFieldSelector,
    ResourceFieldSelector,
    SecretKeySelector,
)
from minipod.api.field_errors import FieldError, invalid, invalids, not_supported, required
from minipod.api.validation import rules

ENV_FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_RESOURCES = tuple(
    f"{which}.{name}" for which in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_SUBSCRIPTED = re.compile(r"(.+)\['(.*)'\]")
_BYTE_DIVISORS = (
    "1",
    *(f"1{unit}" for unit in ("k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")),
)


def env(variables: Sequence[EnvVar], path: str) -> Iterator[FieldError]:
    for index, variable in enumerate(variables):
        inner = f"{path}[{index}]"
        yield from rules.named(f"{inner}.name", variable.name, names.env_name)
        yield from rules.no_nul(f"{inner}.value", variable.value)
        yield from _value_from(variable, f"{inner}.valueFrom")


def env_from(sources: Sequence[EnvFromSource], path: str) -> Iterator[FieldError]:
    for index, source in enumerate(sources):
        inner = f"{path}[{index}]"
        yield from rules.optionally_named(f"{inner}.prefix", source.prefix, names.env_name)
        given = [
            (which, getattr(source, which))
            for which in ("configMapRef", "secretRef")
            if getattr(source, which)
        ]
        for which, reference in given:
            yield from rules.named(f"{inner}.{which}.name", reference.name, names.dns_subdomain)
        if not given:
            yield invalid(inner, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            yield invalid(inner, "", "may not have more than one field specified at a time")


def field_ref(reference: ObjectFieldSelector, supported: Sequence[str], path: str) -> Iterator[FieldError]:
    """The downward API: a field of the pod itself, or one of its labels or annotations by key."""
    field = reference.fieldPath
    if reference.apiVersion not in (None, "", "v1"):
        yield invalid(f"{path}.fieldPath", field, f"unsupported pod version: {reference.apiVersion}")
    elif not field:
        yield required(f"{path}.fieldPath")
    elif match := _SUBSCRIPTED.fullmatch(field):
        if match[1] == "metadata.labels":
            yield from invalids(path, match[2], names.qualified_name(match[2]))
        elif match[1] == "metadata.annotations":
            yield from invalids(path, match[2], names.qualified_name(match[2].lower()))
        else:
            yield invalid(path, match[1], "does not support subscript")
    elif field not in supported:
        yield not_supported(f"{path}.fieldPath", field, supported)


def resource_field_ref(
    reference: ResourceFieldSelector, path: str, *, container_required: bool = False
) -> Iterator[FieldError]:
    resource = reference.resource
    if container_required and not reference.containerName:
        yield required(f"{path}.containerName")
    elif not resource:
        yield required(f"{path}.resource")
    elif resource not in _RESOURCES and not resource.startswith(
        ("limits.hugepages-", "requests.hugepages-")
    ):
        yield not_supported(f"{path}.resource", resource, _RESOURCES)
    else:
        yield from _divisor(resource, reference.divisor or "0", f"{path}.divisor")


def _divisor(resource: str, text: str, path: str) -> Iterator[FieldError]:
    problems = list(rules.readable_quantity(path, text))
    yield from problems
    if problems or quantity.parse(text) == 0:
        return
    if resource.endswith(".cpu"):
        if quantity.canonical(text) not in ("1", "1m"):
            yield invalid(
                path, resource, "only divisor's values 1m and 1 are supported with the cpu resource"
            )
    elif quantity.canonical(text) not in _BYTE_DIVISORS:
        kind = resource.partition(".")[2].partition("-")[0]
        kind = "local ephemeral storage" if kind == "ephemeral" else kind
        why = f"only divisor's values {', '.join(_BYTE_DIVISORS)} are supported with the {kind} resource"
        yield invalid(path, resource, why)


def _value_from(variable: EnvVar, path: str) -> Iterator[FieldError]:
    source = variable.valueFrom
    if source is None:
        return
    count = 0
    for field in source.__struct_fields__:
        count += getattr(source, field) is not None
    if source.fieldRef is not None:
        yield from field_ref(source.fieldRef, ENV_FIELD_PATHS, f"{path}.fieldRef")
    if source.resourceFieldRef is not None:
        yield from resource_field_ref(source.resourceFieldRef, f"{path}.resourceFieldRef")
    if source.configMapKeyRef is not None:
        yield from _key(source.configMapKeyRef, f"{path}.configMapKeyRef")
    if source.secretKeyRef is not None:
        yield from _key(source.secretKeyRef, f"{path}.secretKeyRef")
    if count == 0:
        why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        yield invalid(path, "", why)
    elif variable.value:
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif count > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def _key(selector: ConfigMapKeySelector | SecretKeySelector, path: str) -> Iterator[FieldError]:
    yield from invalids(f"{path}.name", selector.name or "", names.dns_subdomain(selector.name or ""))
    yield from rules.named(f"{path}.key", selector.key, names.config_key)
