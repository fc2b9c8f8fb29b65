"""The only door to the API: what the kubelet, the scheduler and the controllers may ask of it.

Embedded, the daemon hands its own registry behind this interface; joined to a cluster it will be HTTP.
Objects are the msgspec types of minipod.api. **Objects handed out are shared: never change one in place**,
make a changed copy (`minipod.api.codec.copy`) and send that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from minipod.api.scheme import Resource


class EventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class WatchEvent:
    type: EventType
    object: Any


@dataclass(frozen=True, slots=True)
class ObjectList:
    items: list[Any]
    resource_version: str


class Client(Protocol):
    """Every method raises minipod.api.errors.StatusError with Kubernetes' reason and code."""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Any: ...

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList: ...

    async def create(self, resource: Resource, obj: Any, *, dry_run: bool = False) -> Any:
        """Store a new object; with dry_run do all but that."""

    async def update(self, resource: Resource, obj: Any, *, subresource: str = "") -> Any:
        """Replace the object (or, with subresource "status", its status); 409 when resourceVersion is stale."""

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace_period_seconds: int | None = None,
        uid: str = "",
    ) -> Any: ...

    async def bind(self, pod: Any, node_name: str) -> None:
        """Give a pod to a node (the binding subresource); 409 when it has one, is another by uid, or is ending."""

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Events after resource_version; without one, first an ADDED for each object that exists."""
