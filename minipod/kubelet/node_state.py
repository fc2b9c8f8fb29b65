"""What the pods of a node share knowledge of: which of them hold room on it, and under which pressure it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from minipod.api import core_v1
from minipod.api.pod_resources import Amounts, effective_requests
from minipod.api.resource_fit import Taken
from minipod.kubelet.eviction.types import Pressure


class PressureSource(Protocol):
    """Who knows under which pressure the node is."""

    def pressures(self) -> tuple[Pressure, ...]:
        """As of now: what was found a while ago is looked at again first."""


class NodeState:
    """One per node; touched by its event loop alone. Pods are told apart by uid."""

    def __init__(self) -> None:
        self.source: PressureSource | None = None
        self._held: dict[str, Amounts] = {}
        self._waiting: dict[str, Callable[[], None]] = {}

    def pressures(self) -> tuple[Pressure, ...]:
        return self.source.pressures() if self.source else ()

    def holds(self, uid: str) -> bool:
        return uid in self._held

    def take(self, pod: core_v1.Pod) -> None:
        """The pod is let in, or what it asks for is granted: from now on it holds that."""
        uid, held = pod.metadata.uid or "", effective_requests(pod)
        before, self._held[uid] = self._held.get(uid), held
        if before is not None and _shrank(before, held):
            self._tell(uid)

    def release(self, uid: str) -> None:
        """The pod has ended: its room is free."""
        self._waiting.pop(uid, None)
        if self._held.pop(uid, None) is not None:
            self._tell(uid)

    def taken(self, *, without: str) -> Taken:
        """What all pods but one hold together."""
        found = Taken()
        for uid, held in self._held.items():
            if uid != without:
                found.add(held)
        return found

    def await_room(self, uid: str, callback: Callable[[], None]) -> None:
        """Call back, once, when another pod makes room. Asking again replaces what was asked before."""
        self._waiting[uid] = callback

    def _tell(self, by: str) -> None:
        for uid in [uid for uid in self._waiting if uid != by]:
            self._waiting.pop(uid)()


def _shrank(before: Amounts, now: Amounts) -> bool:
    return any(amount > now.get(name, 0) for name, amount in before.items())
