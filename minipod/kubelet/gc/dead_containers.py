"""Which ended attempts at containers go: pure. The rules are those of the kubelet's kuberuntime_gc.go.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/#container-image-garbage-collection
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from minipod.kubelet.gc.types import DeadContainerPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadContainer:
    """An ended attempt. `age`: seconds since it was made; `latest`: there is no newer attempt, ended or not."""

    pod: str
    name: str
    id: str
    attempt: int
    age: float
    latest: bool = False


def surplus(dead: Iterable[DeadContainer], policy: DeadContainerPolicy) -> list[DeadContainer]:
    """Those to remove, oldest first.

    The latest attempt stays whatever the policy says, for its pod goes on: how it ended decides what comes next.
    """
    units: dict[tuple[str, str], list[DeadContainer]] = {}
    for one in sorted(dead, key=_newest_first):
        if one.age >= policy.min_age:
            units.setdefault((one.pod, one.name), []).append(one)
    gone: list[DeadContainer] = []
    if policy.per_container >= 0:
        gone += _trim(units, policy.per_container)
    if 0 <= policy.total < _count(units):
        gone += _trim(units, max(policy.total // len(units), 1))
        left = sorted((one for unit in units.values() for one in unit), key=_newest_first)
        gone += left[policy.total :]
    return sorted((one for one in gone if not one.latest), key=_newest_first, reverse=True)


def seconds_to_age(dead: Iterable[DeadContainer], policy: DeadContainerPolicy) -> float | None:
    """Until the next one is old enough to be removed; None: all are."""
    return min((policy.min_age - one.age for one in dead if one.age < policy.min_age), default=None)


def _trim(units: dict[tuple[str, str], list[DeadContainer]], keep: int) -> list[DeadContainer]:
    """Leave the newest `keep` of each container; returns the others."""
    gone = []
    for unit in units.values():
        gone += unit[keep:]
        del unit[keep:]
    return gone


def _count(units: dict[tuple[str, str], list[DeadContainer]]) -> int:
    return sum(map(len, units.values()))


def _newest_first(one: DeadContainer) -> tuple[int, float]:
    return -one.attempt, one.age
