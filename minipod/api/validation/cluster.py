"""Nodes, namespaces and events: the objects around pods."""

from __future__ import annotations

from collections.abc import Iterator

from minipod.api import names
from minipod.api.core_v1 import Event, Namespace, Node
from minipod.api.field_errors import FieldError, duplicate, forbidden, invalid, invalids, required
from minipod.api.validation import metadata, rules

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def namespace_create(namespace: Namespace) -> Iterator[FieldError]:
    yield from metadata.object_meta(namespace.metadata, names.dns_label, namespaced=False)


def namespace_update(new: Namespace, old: Namespace) -> Iterator[FieldError]:
    yield from metadata.object_meta_update(new.metadata, old.metadata)


def node_create(node: Node) -> Iterator[FieldError]:
    yield from metadata.object_meta(node.metadata, names.dns_subdomain, namespaced=False)
    yield from _taints(node)
    for field in ("capacity", "allocatable"):
        for name, text in getattr(node.status, field).items():
            yield from rules.readable_quantity(f"status.{field}[{name}]", text)


def node_update(new: Node, old: Node) -> Iterator[FieldError]:
    yield from metadata.object_meta_update(new.metadata, old.metadata)
    yield from _taints(new)
    for field in ("podCIDR", "providerID"):
        before, after = getattr(old.spec, field), getattr(new.spec, field)
        if before and after != before:
            why = f'node updates may not change {field} except from "" to valid'
            yield forbidden(f"spec.{field}", why)


def event_create(event: Event) -> Iterator[FieldError]:
    yield from metadata.object_meta(event.metadata, names.dns_subdomain, namespaced=True)
    about = event.involvedObject.namespace or "default"
    if event.metadata.namespace != about:
        yield invalid(
            "involvedObject.namespace",
            event.involvedObject.namespace or "",
            "does not match event.namespace",
        )


def event_update(new: Event, old: Event) -> Iterator[FieldError]:
    yield from metadata.object_meta_update(new.metadata, old.metadata)


def _taints(node: Node) -> Iterator[FieldError]:
    seen = set()
    for index, taint in enumerate(node.spec.taints):
        path = f"spec.taints[{index}]"
        yield from invalids(f"{path}.key", taint.key, names.qualified_name(taint.key))
        if taint.value:
            yield from invalids(f"{path}.value", taint.value, names.label_value(taint.value))
        if not taint.effect:
            yield required(f"{path}.effect")
        else:
            yield from rules.one_of(f"{path}.effect", taint.effect, _EFFECTS)
        if (taint.key, taint.effect) in seen:
            yield duplicate(path, f"{taint.key}:{taint.effect}")
        seen.add((taint.key, taint.effect))
