"""The registry's face for clients in the same process (client/inprocess.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minipod.api import core_v1
from minipod.api.scheme import Resource
from minipod.apiserver.registry.options import DeleteOptions, WriteOptions, parse_version, selection
from minipod.apiserver.registry.registry import Listing, Registry
from minipod.apiserver.registry.watch import Watch
from minipod.storage.interface import Stored


class LocalRequests:
    """Turns the words of a request into the registry's. Raises StatusError."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def get(self, resource: Resource, name: str, namespace: str) -> Stored:
        return self._registry.get(resource, name, namespace)

    def list(self, resource: Resource, namespace: str, label_selector: str, field_selector: str) -> Listing:
        selected = selection(resource, namespace, label_selector, field_selector)
        return self._registry.list(resource, selected)

    def watch(self, resource: Resource, namespace: str, field_selector: str, resource_version: str) -> Watch:
        selected = selection(resource, namespace, "", field_selector)
        return self._registry.watch(resource, selected, parse_version(resource_version))

    async def create(self, resource: Resource, obj: Any, namespace: str, dry_run: bool) -> Stored:
        return await self._registry.create(resource, obj, namespace, WriteOptions(dry_run=dry_run))

    async def update(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        change: Callable[[Any], Any],
        subresource: str,
    ) -> Stored:
        return await self._registry.update(resource, name, namespace, change, subresource=subresource)

    async def bind(self, binding: core_v1.Binding, name: str, namespace: str) -> Stored:
        return await self._registry.bind(binding, name, namespace)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        grace_period_seconds: int | None,
        uid: str,
    ) -> Stored | None:
        options = DeleteOptions(grace_period_seconds=grace_period_seconds, uid=uid)
        return (await self._registry.delete(resource, name, namespace, options)).stored
