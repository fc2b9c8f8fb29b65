"""The API for those who live in the same process: the registry's own objects, nothing encoded, nothing copied out.

What comes in is copied: the caller may go on changing its object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from minipod.api import codec, core_v1
from minipod.api.meta_v1 import ObjectMeta
from minipod.api.scheme import Resource
from minipod.client.interface import EventType, ObjectList, WatchEvent


class StoredObject(Protocol):
    obj: Any


class Change(Protocol):
    @property
    def type(self) -> EventType: ...

    @property
    def stored(self) -> StoredObject: ...


class Changes(Protocol):
    """A watch: what there is, then what changes."""

    @property
    def initial(self) -> Sequence[StoredObject]: ...

    async def next(self) -> Sequence[Change]: ...


class Listing(Protocol):
    @property
    def items(self) -> Sequence[StoredObject]: ...

    @property
    def version(self) -> int: ...


class Requests(Protocol):
    """The API server's side of this client: its registry, asked in the client's words.

    The client must not import the API server, so it says what it needs and daemon.py hands it over.
    """

    def get(self, resource: Resource, name: str, namespace: str) -> StoredObject: ...

    def list(
        self, resource: Resource, namespace: str, label_selector: str, field_selector: str
    ) -> Listing: ...

    def watch(
        self, resource: Resource, namespace: str, field_selector: str, resource_version: str
    ) -> Changes: ...

    async def create(self, resource: Resource, obj: Any, namespace: str, dry_run: bool) -> StoredObject: ...

    async def update(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        change: Callable[[Any], Any],
        subresource: str,
    ) -> StoredObject: ...

    async def bind(self, binding: core_v1.Binding, name: str, namespace: str) -> StoredObject: ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        grace_period_seconds: int | None,
        uid: str,
    ) -> StoredObject | None: ...


class InProcessClient:
    """A client.interface.Client."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Any:
        return self._requests.get(resource, name, namespace).obj

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        listing = self._requests.list(resource, namespace, label_selector, field_selector)
        return ObjectList([stored.obj for stored in listing.items], str(listing.version))

    async def create(self, resource: Resource, obj: Any, *, dry_run: bool = False) -> Any:
        own = codec.copy(obj)
        stored = await self._requests.create(resource, own, own.metadata.namespace or "", dry_run)
        return stored.obj

    async def update(self, resource: Resource, obj: Any, *, subresource: str = "") -> Any:
        own = _status_of(obj) if subresource == "status" else codec.copy(obj)
        meta = own.metadata
        stored = await self._requests.update(
            resource, meta.name or "", meta.namespace or "", lambda _: own, subresource
        )
        return stored.obj

    async def bind(self, pod: Any, node_name: str) -> None:
        meta = pod.metadata
        binding = core_v1.Binding(
            metadata=ObjectMeta(name=meta.name, namespace=meta.namespace, uid=meta.uid),
            target=core_v1.ObjectReference(kind="Node", name=node_name),
        )
        await self._requests.bind(binding, meta.name or "", meta.namespace or "")

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace_period_seconds: int | None = None,
        uid: str = "",
    ) -> Any:
        stored = await self._requests.delete(resource, name, namespace, grace_period_seconds, uid)
        return stored.obj if stored else None

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        watch = self._requests.watch(resource, namespace, field_selector, resource_version)
        for stored in watch.initial:
            yield WatchEvent(EventType.ADDED, stored.obj)
        while True:
            for change in await watch.next():
                yield WatchEvent(change.type, change.stored.obj)


def _status_of(obj: Any) -> Any:
    """A copy of what a status update is about; the rest of the object is ignored there."""
    return type(obj)(metadata=codec.copy(obj.metadata), status=codec.copy(obj.status))
