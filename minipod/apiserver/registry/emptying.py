"""Namespaces on their way out: emptied, and removed when the last object has left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from minipod.api.errors import StatusError
from minipod.api.scheme import Resource
from minipod.apiserver.registry import namespaces
from minipod.storage.interface import Key
from minipod.storage.store import Store

log = logging.getLogger(__name__)


class NamespaceEmptier:
    """Acts when it is told of deletions; what is half done when the daemon stops goes on at the next start.

    `delete_all` deletes what there is of a resource in a namespace, `let_go` removes the namespace's own finalizer.
    """

    def __init__(
        self,
        store: Store,
        namespaced: Sequence[Resource],
        delete_all: Callable[[Resource, str], Awaitable[object]],
        let_go: Callable[[str], Awaitable[object]],
    ) -> None:
        self._store = store
        self._namespaced = namespaced
        self._delete_all = delete_all
        self._let_go = let_go
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        for stored in self._store.list("namespaces"):
            if namespaces.is_terminating(stored.obj):
                self._begin(stored.key.name)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def after_deletion(self, key: Key, *, removed: bool) -> None:
        """An object was marked, or `removed`: it may be a namespace, or the last one that kept a namespace."""
        if key.resource == "namespaces" and not removed:
            self._begin(key.name)
        elif removed and key.namespace:
            stored = self._store.get(Key("namespaces", "", key.namespace))
            if stored and namespaces.is_terminating(stored.obj) and self._is_empty(key.namespace):
                self._begin(key.namespace)

    def _begin(self, name: str) -> None:
        task = asyncio.create_task(self._empty(name), name=f"namespace-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _empty(self, name: str) -> None:
        try:
            for resource in self._namespaced:
                await self._delete_all(resource, name)
            if self._is_empty(name):
                await self._let_go(name)
        except StatusError as error:
            why = "cannot empty a namespace, deleting it again tries again: %s"
            log.warning(why, error, extra={"namespace": name})

    def _is_empty(self, namespace: str) -> bool:
        return not any(self._store.list(r.group_resource, namespace) for r in self._namespaced)
