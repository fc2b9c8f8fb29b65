"""The registry: every rule an object passes between a request and the store, for every way in.

defaults, admission, validation, optimistic locking, graceful deletion: decided in one step against the newest state,
so that nothing can slip in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from minipod.api import codec, core_v1, errors
from minipod.api.defaults import set_defaults
from minipod.api.field_errors import FieldError
from minipod.api.meta_v1 import ObjectMeta, StatusCause
from minipod.api.scheme import NAMESPACES, PODS, Resource
from minipod.apiserver.registry import deletion, metadata, namespaces
from minipod.apiserver.registry.admission import Admission, Attempt, NamespaceLifecycle, Operation
from minipod.apiserver.registry.emptying import NamespaceEmptier
from minipod.apiserver.registry.options import DeleteOptions, Selection, WriteOptions
from minipod.apiserver.registry.pods import bound
from minipod.apiserver.registry.strategies import STRATEGIES
from minipod.apiserver.registry.strategy import Strategy
from minipod.apiserver.registry.watch import Watch
from minipod.storage.errors import ExpiredError, WriteFailedError
from minipod.storage.interface import Decide, Decision, Keep, Key, Put, Remove, Stored, Written
from minipod.storage.store import Store

EVERYTHING = Selection()
NO_OPTIONS = WriteOptions()


@dataclass(frozen=True, slots=True)
class Listing:
    """What was selected, in the order of namespace and name, as of `version`."""

    items: list[Stored]
    version: int


class Registry:
    """All methods raise StatusError. What they hand out is shared: never change it; what they are given may be changed
    and kept by them."""

    def __init__(
        self,
        store: Store,
        *,
        strategies: Iterable[Strategy] = STRATEGIES,
        admission: Sequence[Admission] | None = None,
    ) -> None:
        self._store = store
        self._strategies = {strategy.resource.group_resource: strategy for strategy in strategies}
        self._admission = [NamespaceLifecycle(store)] if admission is None else admission
        self._emptier = NamespaceEmptier(
            store,
            [resource for resource in self.resources if resource.namespaced],
            lambda resource, name: self.delete_collection(resource, Selection(name)),
            self._let_namespace_go,
        )

    @property
    def resources(self) -> list[Resource]:
        """All that is served."""
        return [strategy.resource for strategy in self._strategies.values()]

    @property
    def version(self) -> int:
        """The newest resourceVersion anyone can see."""
        return self._store.version

    def serves(self, resource: Resource) -> bool:
        return resource.group_resource in self._strategies

    def strategy(self, resource: Resource) -> Strategy:
        return self._strategies[resource.group_resource]

    async def start(self) -> None:
        """Make what every cluster has, and go on with what a stop has interrupted."""
        for name in namespaces.SYSTEM_NAMESPACES:
            if self._store.get(Key("namespaces", "", name)) is None:
                await self.create(NAMESPACES, core_v1.Namespace(metadata=ObjectMeta(name=name)))
        self._emptier.start()

    async def stop(self) -> None:
        """What is half done goes on at the next start."""
        await self._emptier.stop()

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, resource: Resource, name: str, namespace: str = "") -> Stored:
        stored = self._store.get(_key(resource, namespace, name))
        if stored is None:
            raise errors.not_found(resource, name)
        return stored

    def list(self, resource: Resource, selection: Selection = EVERYTHING, version: int = 0) -> Listing:
        """`version`: the answer must not be older than this."""
        self._check_not_ahead(version)
        items = self._store.list(resource.group_resource, selection.namespace)
        if selection.selects:
            items = [stored for stored in items if selection.matches_selectors(stored.obj)]
        return Listing(items, self._store.version)

    def watch(
        self,
        resource: Resource,
        selection: Selection = EVERYTHING,
        version: int = 0,
        *,
        initial: bool = False,
    ) -> Watch:
        """Changes after `version`; with 0 (or `initial`), first what there is. Raises StatusError 410."""
        self._check_not_ahead(version)
        name = resource.group_resource
        if initial or version == 0:
            items = self.list(resource, selection).items
            return Watch(self._store.watch(name), selection, items)
        try:
            return Watch(self._store.watch(name, version), selection, [])
        except ExpiredError as error:
            raise errors.expired(str(error)) from None

    # -- writing -------------------------------------------------------------------------------------------------

    async def create(
        self, resource: Resource, obj: Any, namespace: str = "", options: WriteOptions = NO_OPTIONS
    ) -> Stored:
        """Store a new object (`obj` is changed in place and kept)."""
        strategy = self.strategy(resource)

        def is_taken(name: str) -> bool:
            return self._store.latest(_key(resource, namespace, name)) is not None

        metadata.prepare_create(
            resource, obj.metadata, namespace, is_taken, generation=strategy.counts_generations
        )
        written_in_vain = strategy.warnings_as_written(obj)
        set_defaults(obj)
        strategy.prepare_create(obj)
        self._admit(Operation.CREATE, resource, obj, None)
        _check(resource, obj, strategy.validate(obj))
        if options.warnings is not None:
            options.warnings.extend([*strategy.warnings(obj), *written_in_vain])

        def decide(latest: Stored | None) -> Decision:
            if latest is not None:
                raise errors.already_exists(resource, obj.metadata.name)
            return Put(obj, strategy.durable)

        written = await self._write(_key(resource, namespace, obj.metadata.name), decide, options.dry_run)
        assert written.stored is not None
        return written.stored

    async def update(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        change: Callable[[Any], Any],
        *,
        subresource: str = "",
        options: WriteOptions = NO_OPTIONS,
    ) -> Stored:
        """Replace an object (with a subresource: the part of it that this is about) by what `change` makes of it.

        `change` gets the shared object and returns one of its own.
        """

        def decide(latest: Stored | None) -> Decision:
            if latest is None:
                raise errors.not_found(resource, name)
            new = change(latest.obj)
            metadata.check_current(resource, new.metadata, latest.obj.metadata)
            self._prepare_update(resource, new, latest.obj, subresource, options)
            # A kubelet reports a status again; what a user has asked for must survive a power cut.
            return self._replacement(resource, new, latest, durable=subresource != "status")

        return await self._change(resource, name, namespace, decide, options)

    async def bind(
        self, binding: core_v1.Binding, name: str, namespace: str, options: WriteOptions = NO_OPTIONS
    ) -> Stored:
        """Give a pod to a node."""

        def decide(latest: Stored | None) -> Decision:
            if latest is None:
                raise errors.not_found(PODS, name)
            # The scheduler binds again what a power cut made unbound.
            return Put(bound(latest.obj, binding), durable=False)

        return await self._change(PODS, name, namespace, decide, options)

    async def delete(
        self, resource: Resource, name: str, namespace: str = "", options: DeleteOptions | None = None
    ) -> Written:
        """Remove an object, or mark it so that whoever holds on to it lets go."""
        strategy = self.strategy(resource)
        options = options or DeleteOptions()

        def decide(latest: Stored | None) -> Decision:
            if latest is None:
                raise errors.not_found(resource, name)
            deletion.check_preconditions(resource, latest, options)
            strategy.check_deletion(latest.obj)
            return strategy.plan_deletion(latest.obj, options)

        key = _key(resource, namespace, name)
        written = await self._write(key, decide, options.dry_run)
        if not options.dry_run:
            self._emptier.after_deletion(key, removed=written.removed)
        return written

    async def delete_collection(
        self, resource: Resource, selection: Selection, options: DeleteOptions | None = None
    ) -> Sequence[Stored]:
        """Delete everything selected; what others delete meanwhile is theirs."""
        items = self.list(resource, selection).items
        results = await asyncio.gather(
            *(self.delete(resource, s.key.name, s.key.namespace, options) for s in items),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, errors.StatusError) and result.code != 404:
                raise result
            if isinstance(result, BaseException) and not isinstance(result, errors.StatusError):
                raise result
        return items

    # -- inside --------------------------------------------------------------------------------------------------

    def _prepare_update(
        self, resource: Resource, new: Any, old: Any, subresource: str, options: WriteOptions
    ) -> None:
        strategy = self.strategy(resource)
        set_defaults(new)
        if subresource == "status":
            strategy.prepare_status_update(new, old)
            return
        if subresource:
            strategy.prepare_subresource_update(subresource, new, old)
        else:
            metadata.prepare_update(new.metadata, old.metadata)
            strategy.prepare_update(new, old)
        self._admit(Operation.UPDATE, resource, new, old)
        if subresource:
            problems = strategy.validate_subresource_update(subresource, new, old)
        else:
            problems = strategy.validate_update(new, old)
        _check(resource, new, problems)
        if strategy.counts_generations:
            metadata.count_generation(new, old)
        if options.warnings is not None:
            options.warnings.extend(strategy.warnings(new))

    def _replacement(self, resource: Resource, new: Any, latest: Stored, *, durable: bool) -> Decision:
        strategy = self.strategy(resource)
        if strategy.is_over(new):
            return Remove()
        version = latest.obj.metadata.resourceVersion
        same = replace(new, metadata=replace(new.metadata, resourceVersion=version))
        if codec.encode(same) == latest.encoded:
            return Keep()  # and nobody is told of a change that is none
        return Put(new, durable and strategy.durable)

    async def _change(
        self, resource: Resource, name: str, namespace: str, decide: Decide, options: WriteOptions
    ) -> Stored:
        key = _key(resource, namespace, name)
        written = await self._write(key, decide, options.dry_run)
        if written.removed and not options.dry_run:
            self._emptier.after_deletion(key, removed=True)
        assert written.stored is not None
        return written.stored

    async def _write(self, key: Key, decide: Decide, dry_run: bool) -> Written:
        if dry_run:
            return _pretend(key, self._store.latest(key), decide)
        try:
            return await self._store.write(key, decide)
        except WriteFailedError as error:
            if error.no_space:
                raise errors.StatusError(507, "InsufficientStorage", str(error)) from error
            raise errors.internal_error(str(error)) from error

    def _admit(self, operation: Operation, resource: Resource, new: Any, old: Any | None) -> None:
        for plugin in self._admission:
            plugin.admit(Attempt(operation, resource, new, old))

    def _check_not_ahead(self, version: int) -> None:
        if version > self._store.version:
            message = f"Too large resource version: {version}, current: {self._store.version}"
            error = errors.timeout(message, retry_after_seconds=1)
            if error.details:
                cause = StatusCause(reason="ResourceVersionTooLarge", message="Too large resource version")
                error.details.causes = [cause]
            raise error

    async def _let_namespace_go(self, name: str) -> None:
        """Nothing is in it any more."""

        def decide(latest: Stored | None) -> Decision:
            if latest is None:
                return Keep()
            new = namespaces.without_finalizer(latest.obj)
            return self._replacement(NAMESPACES, new, latest, durable=True)

        await self._write(Key("namespaces", "", name), decide, False)


def _key(resource: Resource, namespace: str, name: str) -> Key:
    return Key(resource.group_resource, namespace if resource.namespaced else "", name)


def _check(resource: Resource, obj: Any, problems: list[FieldError]) -> None:
    if problems:
        raise errors.invalid(resource.kind, obj.metadata.name or "", problems, resource.group)


def _pretend(key: Key, latest: Stored | None, decide: Decide) -> Written:
    """What a write would come to."""
    decision = decide(latest)
    if isinstance(decision, Put):
        version = latest.version if latest else 0
        obj = replace(
            decision.obj,
            metadata=replace(decision.obj.metadata, resourceVersion=str(version) if latest else None),
        )
        return Written(Stored(key, obj, codec.encode(obj), version, 0.0))
    return Written(latest, removed=isinstance(decision, Remove))
