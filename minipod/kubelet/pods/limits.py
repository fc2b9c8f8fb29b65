"""Whether this node may run a pod at all, and for how long."""

from __future__ import annotations

from minipod.api import core_v1, timestamps
from minipod.kubelet import events
from minipod.kubelet.admission import admit, warnings
from minipod.kubelet.backoff import MICROSECONDS
from minipod.kubelet.services import Services
from minipod.kubelet.status.generate import Failed

DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


def judge(pod: core_v1.Pod, services: Services, *, new: bool, start_time: str) -> Failed | None:
    """The end that the kubelet itself puts to the pod, if any; an event tells of it.

    `new`: nobody has looked at the pod before; `start_time` (RFC 3339): when the node began with it, if it has.
    """
    refused = _admit(pod, services) if new else None
    if refused is not None:
        return refused
    deadline = active_deadline(pod, start_time)
    if deadline is None or services.clock() < deadline:
        return None
    services.events.pod_event(pod, events.NORMAL, events.DEADLINE_EXCEEDED, DEADLINE_MESSAGE)
    return Failed(events.DEADLINE_EXCEEDED, DEADLINE_MESSAGE)


def active_deadline(pod: core_v1.Pod, start_time: str) -> int | None:
    """When (µs) the pod has run for as long as it may; None: never."""
    seconds = pod.spec.activeDeadlineSeconds
    if seconds is None or not start_time:
        return None
    return timestamps.to_epoch_us(start_time) + seconds * MICROSECONDS


def _admit(pod: core_v1.Pod, services: Services) -> Failed | None:
    node = services.node
    refused = admit(
        pod,
        services.settings,
        taken=node.taken(without=pod.metadata.uid or ""),
        pressures=node.pressures(),
    )
    if refused:
        services.events.pod_event(pod, events.WARNING, refused.reason, refused.message)
        return Failed(refused.reason, f"Pod was rejected: {refused.message}", rejected=True)
    node.take(pod)
    for reason, message in warnings(pod, services.settings):
        services.events.pod_event(pod, events.WARNING, reason, message)
    return None
