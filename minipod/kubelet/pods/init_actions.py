"""What to do next with a pod's init containers, sidecars among them. Pure.

https://kubernetes.io/docs/concepts/workloads/pods/init-containers/ and .../sidecar-containers/ (KEP-753)
"""

from __future__ import annotations

from enum import StrEnum

from minipod.api import core_v1
from minipod.kubelet.pods.draft import Draft
from minipod.kubelet.pods.restart_policy import failed_for_good, initialized, is_sidecar


class Progress(StrEnum):
    """How far the pod's initialization is. FAILED: for good, the pod with it."""

    UNDER_WAY = "underWay"
    DONE = "done"
    FAILED = "failed"


def decide_init(draft: Draft) -> Progress:
    """Add what the init containers need now to the draft.

    One after the other: the next is started when the one before it has succeeded or, a sidecar, is up. What was
    passed once gates nothing any more; a sidecar that has ended since is started again beside whatever runs by now.
    """
    reached = _reached(draft)
    for index, container in enumerate(draft.pod.spec.initContainers):
        if is_sidecar(container):
            passed = _keep_sidecar(draft, container) or index < reached
        elif index < reached:
            passed = True
        else:
            record = draft.records.get(container.name)
            if failed_for_good(draft.pod, container, record, asked=container.name in draft.restarts):
                return Progress.FAILED
            passed = _run(draft, container)
        if not passed:
            return Progress.UNDER_WAY
    return Progress.DONE


def _reached(draft: Draft) -> int:
    """The index of the last init container that has had its turn in this sandbox, -1 for none."""
    containers = draft.pod.spec.initContainers
    if initialized(draft.pod, draft.records):
        return len(containers)
    made = (i for i, c in enumerate(containers) if c.name in draft.records and draft.records[c.name].current)
    return max(made, default=-1)


def _keep_sidecar(draft: Draft, container: core_v1.Container) -> bool:
    """True when it is up: it runs, its postStart hook is over and its startup probe has succeeded."""
    record = draft.records.get(container.name)
    if record is None or not record.running:
        draft.start(container, record)
        return False
    draft.keep(container, record, sidecar=True)
    health = draft.health_of(record)
    return health.hooked and health.started and not draft.ending(record)


def _run(draft: Draft, container: core_v1.Container) -> bool:
    """True when it has succeeded; it is started when it neither has nor runs."""
    record = draft.records.get(container.name)
    if record is None or not record.running:
        if record is not None and record.current and record.succeeded:
            return True
        draft.start(container, record)
    return False
