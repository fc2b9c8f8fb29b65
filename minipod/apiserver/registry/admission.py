"""Admission: what else must be true, or is filled in, before an object may be written.

Each plug-in may change the new object in place or refuse it by raising StatusError.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from minipod.api import errors
from minipod.api.meta_v1 import StatusCause
from minipod.api.scheme import Resource
from minipod.apiserver.registry.namespaces import is_terminating
from minipod.storage.interface import Key
from minipod.storage.store import Store


class Operation(StrEnum):
    CREATE = "CREATE"
    UPDATE = "UPDATE"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A write that is about to happen. `old` is None for a creation and never to be changed."""

    operation: Operation
    resource: Resource
    new: Any
    old: Any | None


class Admission(Protocol):
    def admit(self, attempt: Attempt) -> None: ...


class NamespaceLifecycle:
    """Nothing is created in a namespace that is not there or on its way out."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def admit(self, attempt: Attempt) -> None:
        if attempt.operation is not Operation.CREATE or not attempt.resource.namespaced:
            return
        namespace = attempt.new.metadata.namespace or ""
        stored = self._store.latest(Key("namespaces", "", namespace))
        if stored is None:
            raise errors.not_found("namespaces", namespace)
        if is_terminating(stored.obj):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            error = errors.forbidden(attempt.resource, attempt.new.metadata.name or "", why)
            cause = StatusCause(
                reason="NamespaceTerminating",
                message=f"namespace {namespace} is being terminated",
                field="metadata.namespace",
            )
            if error.details:
                error.details.causes = [cause]
            raise error
