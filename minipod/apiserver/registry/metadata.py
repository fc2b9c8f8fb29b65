"""The part of an object's metadata that is the server's to say: identity, times, generation."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from minipod.api import codec, errors, names, timestamps
from minipod.api.meta_v1 import ObjectMeta
from minipod.api.scheme import Resource

_TRIES = 8
"""Names tried for a generateName before giving up, as Kubernetes does."""


def prepare_create(
    resource: Resource,
    meta: ObjectMeta,
    namespace: str,
    is_taken: Callable[[str], bool],
    *,
    generation: bool,
) -> None:
    """Give a new object its identity, in place. Raises StatusError 400 and 409 (no generated name is free)."""
    if meta.resourceVersion:
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    meta.namespace = namespace or None
    if not meta.name and meta.generateName:
        meta.name = _free_name(resource, meta.generateName, is_taken)
    meta.uid = str(uuid.uuid4())
    meta.creationTimestamp = timestamps.now()
    meta.generation = 1 if generation else None
    meta.deletionTimestamp = meta.deletionGracePeriodSeconds = meta.selfLink = None


def prepare_update(new: ObjectMeta, old: ObjectMeta) -> None:
    """Fill in, in place, what a client may leave out; what it says wrongly is for validation to find."""
    new.name = new.name or old.name
    new.namespace = new.namespace or old.namespace
    new.uid = new.uid or old.uid
    new.creationTimestamp = new.creationTimestamp or old.creationTimestamp
    new.generation = old.generation
    new.selfLink = None
    if new.deletionTimestamp is None:
        new.deletionTimestamp = old.deletionTimestamp
    if new.deletionGracePeriodSeconds is None:
        new.deletionGracePeriodSeconds = old.deletionGracePeriodSeconds


def check_current(resource: Resource, new: ObjectMeta, old: ObjectMeta) -> None:
    """Whether an update was made from the object as it is. Raises StatusError 409."""
    if new.uid and new.uid != old.uid:
        why = f"Precondition failed: UID in precondition: {new.uid}, UID in object meta: {old.uid}"
        raise errors.conflict(resource, old.name or "", why)
    if new.resourceVersion and new.resourceVersion not in (old.resourceVersion, "0"):
        raise errors.conflict(resource, old.name or "")


def count_generation(new: Any, old: Any) -> None:
    """One more when the spec has changed; objects without a generation stay without."""
    if old.metadata.generation and codec.encode(new.spec) != codec.encode(old.spec):
        new.metadata.generation = old.metadata.generation + 1


def _free_name(resource: Resource, prefix: str, is_taken: Callable[[str], bool]) -> str:
    for _ in range(_TRIES):
        name = names.generate(prefix)
        if not is_taken(name):
            return name
    raise errors.already_exists(resource, name)
