"""An informer: a copy of the API's objects that follows every change, and says what has changed.

list + watch as client-go does it: after a break (410 Gone, a lost connection) it lists again and reports the
difference to what it had, so that handlers never miss that something came, changed or went.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from minipod.api.errors import StatusError
from minipod.api.scheme import Resource
from minipod.client.interface import Client, EventType, WatchEvent

log = logging.getLogger(__name__)

FIRST_RETRY = 0.1
LONGEST_RETRY = 30.0
"""Seconds between tries while the API does not answer."""

Key: TypeAlias = tuple[str, str]
"""(namespace, name)"""


def _ignore(*_: Any) -> None:
    """The handler of those who do not care."""


class Informer:
    """Follows one selection of one resource.

    Handlers run in the event loop, in the order of changes, and must not wait. `on_update` gets (old, new); an object
    that was deleted and made again under its name is deleted and added. The objects are shared: never change one.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str = "",
        *,
        field_selector: str = "",
        on_add: Callable[[Any], None] = _ignore,
        on_update: Callable[[Any, Any], None] = _ignore,
        on_delete: Callable[[Any], None] = _ignore,
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._field_selector = field_selector
        self._on_add = on_add
        self._on_update = on_update
        self._on_delete = on_delete
        self._objects: dict[Key, Any] = {}
        self._synced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def get(self, name: str, namespace: str = "") -> Any | None:
        return self._objects.get((namespace, name))

    def list(self) -> list[Any]:
        return list(self._objects.values())

    def start(self) -> None:
        self._task = asyncio.create_task(self.run(), name=f"informer-{self._resource.plural}")

    async def synced(self) -> None:
        """Return once everything that exists has been reported."""
        await self._synced.wait()

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run(self) -> None:
        """Follow until cancelled: what start() does in a task of its own."""
        delay = FIRST_RETRY
        while True:
            try:
                version = await self._list()
                delay = FIRST_RETRY
                await self._watch(version)
            except StatusError as error:
                if error.code != 410:
                    log.warning("cannot watch %s: %s; again in %.1f s", self._resource.plural, error, delay)
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, LONGEST_RETRY)

    async def _list(self) -> str:
        found = await self._client.list(self._resource, self._namespace, field_selector=self._field_selector)
        present = {_key(obj): obj for obj in found.items}
        for key in [key for key in self._objects if key not in present]:
            self._delete(key, self._objects[key])
        for key, obj in present.items():
            self._set(key, obj)
        self._synced.set()
        return found.resource_version

    async def _watch(self, version: str) -> None:
        events = self._client.watch(
            self._resource,
            self._namespace,
            resource_version=version,
            field_selector=self._field_selector,
        )
        async for event in events:
            self._take(event)

    def _take(self, event: WatchEvent) -> None:
        if event.type in (EventType.ADDED, EventType.MODIFIED):
            self._set(_key(event.object), event.object)
        elif event.type is EventType.DELETED:
            self._delete(_key(event.object), event.object)

    def _set(self, key: Key, obj: Any) -> None:
        old = self._objects.get(key)
        if old is not None and old.metadata.uid != obj.metadata.uid:
            self._delete(key, old)
            old = None
        self._objects[key] = obj
        if old is None:
            self._call(self._on_add, obj)
        elif old.metadata.resourceVersion != obj.metadata.resourceVersion:
            self._call(self._on_update, old, obj)

    def _delete(self, key: Key, last: Any) -> None:
        if self._objects.pop(key, None) is not None:
            self._call(self._on_delete, last)

    def _call(self, handler: Callable[..., None], *objects: Any) -> None:
        """One handler's mistake must not end the watch for all that comes after."""
        try:
            handler(*objects)
        except Exception:
            log.exception("a handler failed", extra={"resource": self._resource.plural})


def _key(obj: Any) -> Key:
    return obj.metadata.namespace or "", obj.metadata.name or ""
