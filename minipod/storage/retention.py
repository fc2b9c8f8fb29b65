"""Objects that live for a while only (Events): which are due, found without a timer whenever one is written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from minipod.storage.interface import Key


@dataclass(frozen=True, slots=True)
class Retention:
    """How long (seconds since it was last written) and how many per namespace, the newest being kept."""

    max_age: float
    max_per_namespace: int


EVENT_RETENTION = Retention(max_age=3600, max_per_namespace=1000)
"""An hour is kube-apiserver's --event-ttl; the count is what keeps a crash loop from filling the memory."""


class RetentionIndex:
    """The keys of one resource in the order they were last written."""

    def __init__(self, policy: Retention) -> None:
        self.policy = policy
        self._all: OrderedDict[Key, float] = OrderedDict()
        self._by_namespace: dict[str, OrderedDict[Key, None]] = {}

    def touch(self, key: Key, written_at: float) -> None:
        self._all[key] = written_at
        self._all.move_to_end(key)
        names = self._by_namespace.setdefault(key.namespace, OrderedDict())
        names[key] = None
        names.move_to_end(key)

    def sort(self) -> None:
        """Bring keys that were touched in any order into the order of their times."""
        for key, written_at in sorted(self._all.items(), key=lambda item: item[1]):
            self.touch(key, written_at)

    def forget(self, key: Key) -> None:
        self._all.pop(key, None)
        names = self._by_namespace.get(key.namespace)
        if names is not None:
            names.pop(key, None)
            if not names:
                del self._by_namespace[key.namespace]

    def take_due(self, namespace: str, now: float) -> Iterator[Key]:
        """Hand out, and forget, what is too old anywhere and what is too many in this namespace."""
        while self._all:
            key, written_at = next(iter(self._all.items()))
            if now - written_at <= self.policy.max_age:
                break
            self.forget(key)
            yield key
        names: OrderedDict[Key, None] = self._by_namespace.get(namespace, OrderedDict())
        while len(names) > self.policy.max_per_namespace:
            key = next(iter(names))
            self.forget(key)
            yield key
