"""Names, labels, annotations and owners: what holds for the metadata of every object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from minipod.api import names
from minipod.api.field_errors import FieldError, forbidden, invalid, invalids, required, too_long
from minipod.api.meta_v1 import LabelSelector, ObjectMeta, OwnerReference

TOTAL_ANNOTATION_BYTES = 256 * 1024
IMMUTABLE = "field is immutable"
ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"

_NEVER_CHANGE = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)

NameCheck = Callable[[str], list[str]]


def object_meta(
    meta: ObjectMeta, check: NameCheck, *, namespaced: bool, path: str = "metadata"
) -> Iterator[FieldError]:
    """A new object's metadata, its name already generated; `check` (of names.py) is the kind's rule for names."""
    if meta.generateName:
        # A random suffix follows, so a trailing dash does not end the name.
        prefix = (
            meta.generateName.rstrip("-") + "a" if meta.generateName.endswith("-") else meta.generateName
        )
        yield from invalids(f"{path}.generateName", meta.generateName, check(prefix))
    if not meta.name:
        yield required(f"{path}.name", "name or generateName is required")
    else:
        yield from invalids(f"{path}.name", meta.name, check(meta.name))
    if not namespaced and meta.namespace:
        yield forbidden(f"{path}.namespace", "not allowed on this type")
    elif namespaced and not meta.namespace:
        yield required(f"{path}.namespace")
    elif meta.namespace:
        yield from invalids(f"{path}.namespace", meta.namespace, names.dns_label(meta.namespace))
    yield from _contents(meta, path)


def object_meta_update(new: ObjectMeta, old: ObjectMeta, path: str = "metadata") -> Iterator[FieldError]:
    """A change of metadata. What `new` leaves out counts as unchanged (a client need not repeat what it cannot set)."""
    if old.deletionTimestamp:
        added = sorted(set(new.finalizers) - set(old.finalizers))
        if added:
            why = f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
            yield forbidden(f"{path}.finalizers", why)
    if new.generation is not None and new.generation < (old.generation or 0):
        yield invalid(f"{path}.generation", new.generation, "must not be decremented")
    for field in _NEVER_CHANGE:
        value = getattr(new, field)
        if value is not None and value != getattr(old, field):
            yield invalid(f"{path}.{field}", value, IMMUTABLE)
    yield from _contents(new, path)


def check_labels(found: Mapping[str, str], path: str) -> Iterator[FieldError]:
    for key, value in found.items():
        yield from invalids(path, key, names.qualified_name(key))
        yield from invalids(f"{path}[{key}]", value, names.label_value(value))


def check_annotations(found: Mapping[str, str], path: str) -> Iterator[FieldError]:
    for key in found:
        yield from invalids(path, key, names.qualified_name(key.lower()))
    if sum(len(key.encode()) + len(value.encode()) for key, value in found.items()) > TOTAL_ANNOTATION_BYTES:
        yield too_long(path, TOTAL_ANNOTATION_BYTES)


def label_selector(selector: LabelSelector | None, path: str) -> Iterator[FieldError]:
    if selector is None:
        return
    yield from check_labels(selector.matchLabels, f"{path}.matchLabels")
    for index, expression in enumerate(selector.matchExpressions):
        inner = f"{path}.matchExpressions[{index}]"
        yield from invalids(f"{inner}.key", expression.key, names.qualified_name(expression.key))
        if expression.operator in ("In", "NotIn"):
            if not expression.values:
                yield required(f"{inner}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif expression.operator in ("Exists", "DoesNotExist"):
            if expression.values:
                why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield forbidden(f"{inner}.values", why)
        else:
            yield invalid(f"{inner}.operator", expression.operator, "not a valid selector operator")
        for place, value in enumerate(expression.values):
            yield from invalids(f"{inner}.values[{place}]", value, names.label_value(value))


def _contents(meta: ObjectMeta, path: str) -> Iterator[FieldError]:
    if meta.generation is not None and meta.generation < 0:
        yield invalid(f"{path}.generation", meta.generation, "must be greater than or equal to 0")
    yield from check_labels(meta.labels, f"{path}.labels")
    yield from check_annotations(meta.annotations, f"{path}.annotations")
    yield from _owners(meta.ownerReferences, f"{path}.ownerReferences")
    for finalizer in meta.finalizers:
        yield from _finalizer(finalizer, f"{path}.finalizers")
    if ORPHAN in meta.finalizers and FOREGROUND in meta.finalizers:
        why = f"finalizer {ORPHAN} and {FOREGROUND} cannot be both set"
        yield invalid(f"{path}.finalizers", meta.finalizers, why)


def _finalizer(finalizer: str, path: str) -> Iterator[FieldError]:
    problems = names.qualified_name(finalizer)
    yield from invalids(path, finalizer, problems)
    if not problems and "/" not in finalizer and finalizer not in (ORPHAN, FOREGROUND, "kubernetes"):
        why = "name is neither a standard finalizer name nor is it fully qualified"
        yield invalid(path, finalizer, why)


def _owners(references: list[OwnerReference], path: str) -> Iterator[FieldError]:
    controllers = [f"{one.kind}/{one.name}" for one in references if one.controller]
    for reference in references:
        if not reference.apiVersion.rpartition("/")[2]:
            yield invalid(f"{path}.apiVersion", reference.apiVersion, "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not getattr(reference, field):
                yield invalid(f"{path}.{field}", "", "must not be empty")
        if (reference.apiVersion, reference.kind) == ("v1", "Event"):
            yield invalid(path, "v1, Kind=Event", "/v1, Kind=Event is disallowed from being an owner")
    if len(controllers) > 1:
        why = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controllers[0]} and {controllers[1]}"
        )
        yield invalid(path, controllers, why)
