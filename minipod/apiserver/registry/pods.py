"""Pods: the status is the kubelet's, the node is the scheduler's, and an end takes its grace period."""

from __future__ import annotations

from msgspec.structs import replace

from minipod.api import core_v1, errors, pod_resources, timestamps
from minipod.api.scheme import PODS
from minipod.apiserver.registry import deletion
from minipod.apiserver.registry.options import DeleteOptions
from minipod.apiserver.registry.strategy import Strategy
from minipod.storage.interface import Decision

_ENDED = ("Succeeded", "Failed")


class PodStrategy(Strategy):
    counts_generations = True
    returns_deleted = True

    def __init__(self) -> None:
        super().__init__(PODS)

    def prepare_create(self, new: core_v1.Pod) -> None:
        new.status = core_v1.PodStatus(phase="Pending", qosClass=pod_resources.qos_class(new))

    def prepare_status_update(self, new: core_v1.Pod, old: core_v1.Pod) -> None:
        super().prepare_status_update(new, old)
        new.status.qosClass = new.status.qosClass or old.status.qosClass

    def plan_deletion(self, obj: core_v1.Pod, options: DeleteOptions) -> Decision:
        grace = grace_period(obj, options.grace_period_seconds)
        requested = options.grace_period_seconds is not None
        return deletion.plan(obj, grace, requested=requested, now_us=options.requested_at)


def grace_period(pod: core_v1.Pod, requested: int | None) -> int:
    """Seconds a pod gets to end: none when nothing of it can be running any more, or yet."""
    if not pod.spec.nodeName or pod.status.phase in _ENDED:
        return 0
    seconds = requested if requested is not None else pod.spec.terminationGracePeriodSeconds
    if seconds is None:
        return 30
    return seconds if seconds >= 0 else 1


def bound(pod: core_v1.Pod, binding: core_v1.Binding) -> core_v1.Pod:
    """The pod on the node it is bound to. Raises StatusError 400 and 409."""
    name, node = pod.metadata.name or "", binding.target.name
    if binding.target.kind not in (None, "", "Node") or not node:
        raise errors.bad_request("a binding's target must be a Node with a name")
    wanted, uid = binding.metadata.uid, pod.metadata.uid
    if wanted and wanted != uid:
        why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
        raise errors.conflict("pods/binding", name, why)
    if pod.metadata.deletionTimestamp:
        raise errors.conflict(
            "pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host"
        )
    if pod.spec.nodeName:
        why = f'pod {name} is already assigned to node "{pod.spec.nodeName}"'
        raise errors.conflict("pods/binding", name, why)
    scheduled = core_v1.PodCondition(type="PodScheduled", status="True", lastTransitionTime=timestamps.now())
    conditions = [c for c in pod.status.conditions if c.type != "PodScheduled"]
    return replace(
        pod,
        metadata=replace(
            pod.metadata, annotations={**pod.metadata.annotations, **binding.metadata.annotations}
        ),
        spec=replace(pod.spec, nodeName=node),
        status=replace(pod.status, conditions=[*conditions, scheduled]),
    )
