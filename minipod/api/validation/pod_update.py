"""What of a pod may still change once it exists: labels, images, deadlines, tolerations; little else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from minipod.api import codec, names
from minipod.api.core_v1 import Container, Pod, PodSpec, Toleration
from minipod.api.field_errors import FieldError, forbidden, invalid, invalids, quoted
from minipod.api.validation import metadata, pod, rules

UPDATABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_MAX_DIFFERENCES = 20


def pod_update(new: Pod, old: Pod) -> Iterator[FieldError]:
    yield from metadata.object_meta_update(new.metadata, old.metadata)
    yield from pod.pod_as_a_whole(_with_fixed_metadata(new, old))
    yield from pod.probe_period(new)
    yield from _mirror(new, old)
    for field in ("containers", "initContainers"):
        if len(getattr(new.spec, field)) != len(getattr(old.spec, field)):
            yield forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
    yield from _deadline(new.spec.activeDeadlineSeconds, old.spec.activeDeadlineSeconds)
    yield from _only_added_tolerations(new.spec.tolerations, old.spec.tolerations)
    yield from _only_deleted_gates(new.spec, old.spec)
    if new.spec != old.spec:
        yield from _nothing_else(new.spec, old.spec)


def pod_status_update(new: Pod, old: Pod) -> Iterator[FieldError]:
    """A change through the status subresource, of which only the status counts."""
    yield from metadata.object_meta_update(new.metadata, old.metadata)
    old_class = old.status.qosClass
    if old_class and new.status.qosClass and new.status.qosClass != old_class:
        yield invalid("status.qosClass", new.status.qosClass, metadata.IMMUTABLE)
    for index, condition in enumerate(new.status.conditions):
        path = f"status.conditions[{index}].type"
        yield from invalids(path, condition.type, names.qualified_name(condition.type))
    for field in ("podIPs", "hostIPs"):
        for index, one in enumerate(getattr(new.status, field)):
            yield from rules.ip_address(f"status.{field}[{index}].ip", one.ip)


def _with_fixed_metadata(new: Pod, old: Pod) -> Pod:
    """What the whole-pod rules look at when a client leaves out what it cannot change."""
    complete = codec.copy(new)
    complete.metadata.name = complete.metadata.name or old.metadata.name
    complete.metadata.namespace = complete.metadata.namespace or old.metadata.namespace
    # Labels and the like were judged with the change of metadata.
    complete.metadata.labels = {}
    complete.metadata.annotations = {}
    complete.metadata.ownerReferences = []
    complete.metadata.finalizers = []
    return complete


def _mirror(new: Pod, old: Pod) -> Iterator[FieldError]:
    before = old.metadata.annotations.get(pod.MIRROR_ANNOTATION)
    after = new.metadata.annotations.get(pod.MIRROR_ANNOTATION)
    path = f"metadata.annotations[{pod.MIRROR_ANNOTATION}]"
    if before is None and after is not None:
        yield forbidden(path, "may not add mirror pod annotation")
    elif before != after:
        yield forbidden(path, "may not remove or update mirror pod annotation")


def _deadline(new: int | None, old: int | None) -> Iterator[FieldError]:
    path = "spec.activeDeadlineSeconds"
    if new is None and old is not None:
        yield invalid(path, None, "must not update from a positive integer to nil value")
    elif new is not None and old is not None and new > old:
        yield invalid(path, new, "must be less than or equal to previous value")


def _only_added_tolerations(new: Sequence[Toleration], old: Sequence[Toleration]) -> Iterator[FieldError]:
    def fixed(toleration: Toleration) -> Toleration:
        return msgspec.structs.replace(toleration, tolerationSeconds=None)

    kept = [fixed(one) for one in new]
    if any(fixed(one) not in kept for one in old):
        why = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden("spec.tolerations", why)


def _only_deleted_gates(new: PodSpec, old: PodSpec) -> Iterator[FieldError]:
    known = {gate.name for gate in old.schedulingGates}
    for index, gate in enumerate(new.schedulingGates):
        if gate.name not in known:
            why = f"only deletion is allowed, but found new scheduling gate '{gate.name}'"
            yield forbidden(f"spec.schedulingGates[{index}].name", why)


def _nothing_else(new: PodSpec, old: PodSpec) -> Iterator[FieldError]:
    """Put the old values where a change is allowed: any difference left is not."""
    munged = codec.copy(new)
    _keep_images(munged.containers, old.containers)
    _keep_images(munged.initContainers, old.initContainers)
    munged.activeDeadlineSeconds = old.activeDeadlineSeconds
    munged.tolerations = old.tolerations
    munged.schedulingGates = old.schedulingGates
    if (old.terminationGracePeriodSeconds or 0) < 0 and munged.terminationGracePeriodSeconds == 1:
        munged.terminationGracePeriodSeconds = old.terminationGracePeriodSeconds
    if old.schedulingGates:
        # A pod that no scheduler has looked at yet may still be narrowed down.
        if old.nodeSelector.items() <= munged.nodeSelector.items():
            munged.nodeSelector = old.nodeSelector
        else:
            why = "only additions are allowed (no mutations or deletions)"
            yield invalid("spec.nodeSelector", munged.nodeSelector, why)
    if munged != old:
        changes = list(_differences(msgspec.to_builtins(old), msgspec.to_builtins(munged), "spec"))
        shown = "\n".join(f"  {change}" for change in changes[:_MAX_DIFFERENCES])
        yield forbidden("spec", f"pod updates may not change fields other than {UPDATABLE}\n{shown}")


def _keep_images(new: Sequence[Container], old: Sequence[Container]) -> None:
    for one, before in zip(new, old, strict=True):
        one.image = before.image


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(before, after, f"{path}[{index}]")
    elif old != new:
        yield f"{path}: {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    return quoted(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
