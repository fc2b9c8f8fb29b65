"""Deleting gracefully: first a mark with a deadline, and the object goes when everyone has let go of it.

The rules are those of k8s.io/apiserver's rest.BeforeDelete: a later request may only shorten the time, zero ends it,
and finalizers keep an object (marked, with zero seconds left) until the last of them is gone.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from minipod.api import errors, timestamps
from minipod.api.scheme import Resource
from minipod.apiserver.registry.options import DeleteOptions
from minipod.storage.interface import Decision, Keep, Put, Remove, Stored


def check_preconditions(resource: Resource, stored: Stored, options: DeleteOptions) -> None:
    """Raises StatusError 409."""
    meta = stored.obj.metadata
    if options.uid and options.uid != meta.uid:
        why = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {meta.uid}"
        raise errors.conflict(resource, meta.name, why)
    if options.resource_version and options.resource_version != meta.resourceVersion:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {options.resource_version}, "
            f"ResourceVersion in object meta: {meta.resourceVersion}"
        )
        raise errors.conflict(resource, meta.name, why)


def plan(obj: Any, grace: int, *, requested: bool, now_us: int) -> Decision:
    """What deleting `obj` comes to: `grace` seconds from now, which the user `requested` or which is the default.

    Times are microseconds since the epoch.
    """
    meta = obj.metadata
    if meta.deletionTimestamp is None:
        if grace == 0 and not meta.finalizers:
            return Remove()
        return Put(marked(obj, grace, now_us + grace * timestamps.MICROSECONDS))
    left = meta.deletionGracePeriodSeconds or 0
    if requested and grace < left:
        if grace == 0 and not meta.finalizers:
            return Remove(durable=False)  # it is marked: a power cut only makes the last step happen again
        sooner = (left - grace) * timestamps.MICROSECONDS
        return Put(marked(obj, grace, timestamps.to_epoch_us(meta.deletionTimestamp) - sooner))
    return Keep() if left or meta.finalizers else Remove(durable=False)


def marked(obj: Any, grace: int, deadline_us: int) -> Any:
    """A copy that is being deleted; a new generation of it, as Kubernetes counts."""
    meta = obj.metadata
    return replace(
        obj,
        metadata=replace(
            meta,
            deletionTimestamp=timestamps.from_epoch_us(deadline_us),
            deletionGracePeriodSeconds=grace,
            generation=meta.generation + 1 if meta.generation else meta.generation,
        ),
    )


def is_over(obj: Any) -> bool:
    """Whether an object that is being deleted has nothing left that keeps it."""
    meta = obj.metadata
    return meta.deletionTimestamp is not None and not meta.finalizers and not meta.deletionGracePeriodSeconds
