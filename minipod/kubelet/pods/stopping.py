"""How a container is brought to its end, one step at a time: a pure function over what has been done and the time.

    preStop hook -> its turn (sidecars go last) -> stop signal -> SIGKILL to the whole cgroup

All of it shares one grace period. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from minipod.api import core_v1, pod_resources
from minipod.kubelet.backoff import MICROSECONDS

EXTENSION = 2 * MICROSECONDS
"""What a container gets between its signal and the kill when hook or turn have used up its grace period."""


class Hook(StrEnum):
    """The container's preStop hook."""

    NONE = "none"
    DUE = "due"
    RUNNING = "running"
    OVER = "over"


class Step(StrEnum):
    RUN_HOOK = "runHook"
    SIGNAL = "signal"
    KILL = "kill"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One container on its way to its end; moments in µs, 0: not yet."""

    id: str
    name: str
    began: int
    grace: int | None = None
    """Seconds of its own (a probe's terminationGracePeriodSeconds); None: the pod's."""
    hook: Hook = Hook.NONE
    after: frozenset[str] = frozenset()
    """Names of containers that have to end before this one gets its signal."""
    signalled_at: int = 0
    killed: bool = False
    of_pod: bool = False
    """The whole pod ends, not this container alone."""


@dataclass(frozen=True, slots=True)
class Next:
    """What to do now; with WAIT, when (µs) time alone changes that, None: never."""

    step: Step
    at: int | None = None


def next_step(stop: Stop, *, now: int, end: int, running: Collection[str]) -> Next:
    """`end` (µs): when the grace period is over; `running`: the names of the pod's containers that still run."""
    if stop.killed:
        return Next(Step.WAIT)
    if stop.signalled_at:
        kill_at = (
            max(end, stop.signalled_at + EXTENSION) if _kept_waiting(stop) and end > stop.began else end
        )
        return Next(Step.KILL) if now >= kill_at else Next(Step.WAIT, kill_at)
    if end <= stop.began:
        return Next(Step.KILL)
    if now < end:
        if stop.hook is Hook.DUE:
            return Next(Step.RUN_HOOK)
        if stop.hook is Hook.RUNNING or not stop.after.isdisjoint(running):
            return Next(Step.WAIT, end)
    return Next(Step.SIGNAL)


def begun_by(stop: Stop, now: int) -> Stop:
    """A stop that began in the future means that the clock was set back: its time begins anew, lest it take hours."""
    if stop.began <= now:
        return stop
    return replace(stop, began=now, signalled_at=now if stop.signalled_at else 0)


def _kept_waiting(stop: Stop) -> bool:
    return stop.hook is not Hook.NONE or bool(stop.after)


def stop_order(pod: core_v1.Pod) -> Mapping[str, frozenset[str]]:
    """Of each sidecar of a pod that ends: whom it waits for, all but the sidecars listed before it (KEP-753)."""
    order: dict[str, frozenset[str]] = {}
    later = {container.name for container in pod.spec.containers}
    later |= {c.name for c in pod.spec.initContainers if not pod_resources.is_sidecar(c)}
    for container in reversed(pod.spec.initContainers):
        if pod_resources.is_sidecar(container):
            order[container.name] = frozenset(later)
            later.add(container.name)
    return order
