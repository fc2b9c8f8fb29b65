"""Ends containers as Kubernetes does: the stop signal, the grace period, then SIGKILL to the whole cgroup.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Collection

from minipod.api import core_v1
from minipod.api.timestamps import to_epoch_us
from minipod.kubelet.backoff import MICROSECONDS
from minipod.kubelet.services import Services
from minipod.kubelet.status.records import LABEL_STOP_SIGNAL
from minipod.runtime.types import ContainerState, ContainerStatus

DEFAULT_GRACE = 30
FORCED_GRACE = 1.0
"""Seconds a pod that vanished from the API (force delete) gets at most."""


def grace_seconds(pod: core_v1.Pod, *, gone: bool, limit: float | None = None) -> float:
    """How long the pod's containers have between the stop signal and the kill.

    A deletion's own period goes before the spec's; `limit` is an upper bound from elsewhere (minipod down).
    """
    meta, spec = pod.metadata, pod.spec
    seconds: float | None = meta.deletionGracePeriodSeconds if meta.deletionTimestamp else None
    if seconds is None:
        seconds = spec.terminationGracePeriodSeconds
    bounds = [DEFAULT_GRACE if seconds is None else float(seconds)]
    if gone:
        bounds.append(FORCED_GRACE)
    if limit is not None:
        bounds.append(limit)
    return max(min(bounds), 0.0)


def kill_at(pod: core_v1.Pod, *, began: int, grace: float) -> int:
    """When (µs) to kill. A deletion an earlier daemon began is not given its whole grace period once more."""
    at = began + round(grace * MICROSECONDS)
    if pod.metadata.deletionTimestamp:
        # deletionTimestamp is the end of the grace period, in whole seconds: up to one second early.
        at = min(at, max(to_epoch_us(pod.metadata.deletionTimestamp) + MICROSECONDS, began))
    return at


def running_containers(services: Services, uid: str) -> list[ContainerStatus]:
    status = services.runtime.status(uid)
    return [c for c in status.containers if c.state is ContainerState.RUNNING] if status else []


async def stop_containers(
    services: Services,
    uid: str,
    ids: Collection[str],
    *,
    deadline: Callable[[], int],
    wait: Callable[[int | None], Awaitable[None]],
) -> None:
    """Stop these containers and return when all have ended.

    `deadline()` (µs) is asked again each time: a grace period may be cut short. `wait(until)` returns when the pod's
    processes or its Pod have changed, or at `until`.
    """
    runtime = services.runtime
    left = [c for c in running_containers(services, uid) if c.id in ids]
    if left and services.clock() < deadline():
        await asyncio.gather(
            *(
                runtime.signal_container(uid, c.id, stop_signal(c.labels.get(LABEL_STOP_SIGNAL, "")))
                for c in left
            )
        )
    killed = False
    while left := [c for c in running_containers(services, uid) if c.id in ids]:
        until = deadline()
        if not killed and services.clock() >= until:
            await asyncio.gather(*(runtime.kill_container(uid, c.id) for c in left))
            killed = True
            continue
        await wait(None if killed else until)


def stop_signal(name: str) -> int:
    """The number of an image's StopSignal ("SIGQUIT", "QUIT", "SIGRTMIN+3" or "3"); SIGTERM for none or nonsense."""
    word, plus, offset = name.upper().removeprefix("SIG").partition("+")
    if word.isdigit():
        number = int(word)
    else:
        number = (
            signal.Signals.__members__.get(f"SIG{word}", signal.SIGTERM).value if word else signal.SIGTERM
        )
    if plus and offset.isdigit():
        number += int(offset)
    return number if 0 < number <= signal.SIGRTMAX else signal.SIGTERM
