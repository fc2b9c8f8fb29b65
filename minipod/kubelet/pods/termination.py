"""How long a container has to end, and which signal asks it to.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
"""

from __future__ import annotations

import signal

from minipod.api import core_v1
from minipod.api.timestamps import to_epoch_us
from minipod.kubelet.backoff import MICROSECONDS
from minipod.kubelet.pods.stopping import Stop

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


def stop_deadline(pod: core_v1.Pod, stop: Stop, *, gone: bool, limit: float | None) -> int:
    """When (µs) the grace period of this stop is over. It is asked again each time: a grace period may be cut short."""
    if stop.grace is None or stop.of_pod:
        return kill_at(pod, began=stop.began, grace=grace_seconds(pod, gone=gone, limit=limit))
    return stop.began + round(stop.grace * MICROSECONDS)


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
