"""Pods: the status is the kubelet's, the node is the scheduler's, and an end takes its grace period.

Two more subresources write a part of the spec: ephemeralcontainers and resize.
"""

from __future__ import annotations

from msgspec.structs import replace

from minipod.api import core_v1, errors, pod_resources, priorities, timestamps
from minipod.api.field_errors import FieldError, forbidden
from minipod.api.scheme import PODS
from minipod.api.validation import validate_ephemeral_containers_update, validate_resize, validate_update
from minipod.apiserver.registry import deletion
from minipod.apiserver.registry.options import DeleteOptions
from minipod.apiserver.registry.strategy import Strategy
from minipod.storage.interface import Decision

_ENDED = ("Succeeded", "Failed")
_GATED = core_v1.PodCondition(
    type="PodScheduled",
    status="False",
    reason="SchedulingGated",
    message="Scheduling is blocked due to non-empty scheduling gates",
)


class PodStrategy(Strategy):
    counts_generations = True
    returns_deleted = True

    def __init__(self) -> None:
        super().__init__(PODS)

    def prepare_create(self, new: core_v1.Pod) -> None:
        _set_priority(new)
        new.status = core_v1.PodStatus(phase="Pending", qosClass=pod_resources.qos_class(new))
        if new.spec.schedulingGates:
            new.status.conditions.append(replace(_GATED))

    def prepare_status_update(self, new: core_v1.Pod, old: core_v1.Pod) -> None:
        super().prepare_status_update(new, old)
        new.status.qosClass = new.status.qosClass or old.status.qosClass

    def validate_update(self, new: core_v1.Pod, old: core_v1.Pod) -> list[FieldError]:
        # The rules of an update are whole: those of a creation would refuse what came later (ephemeral containers).
        return validate_update(new, old)

    def prepare_subresource_update(self, subresource: str, new: core_v1.Pod, old: core_v1.Pod) -> None:
        if subresource == "ephemeralcontainers":
            spec = replace(old.spec, ephemeralContainers=new.spec.ephemeralContainers)
        elif subresource == "resize":
            _check_same_containers(new, old)
            spec = _resized(new.spec, old.spec)
        else:
            raise errors.no_such_resource()
        new.metadata, new.spec, new.status = replace(old.metadata), spec, old.status

    def validate_subresource_update(
        self, subresource: str, new: core_v1.Pod, old: core_v1.Pod
    ) -> list[FieldError]:
        if subresource == "resize":
            return validate_resize(new, old)
        return validate_ephemeral_containers_update(new, old)

    def plan_deletion(self, obj: core_v1.Pod, options: DeleteOptions) -> Decision:
        grace = grace_period(obj, options.grace_period_seconds)
        requested = options.grace_period_seconds is not None
        return deletion.plan(obj, grace, requested=requested, now_us=options.requested_at)


def _set_priority(pod: core_v1.Pod) -> None:
    """The built-in classes have their numbers. Raises StatusError 403 when the Pod has another one."""
    problem = priorities.class_problem(pod)
    if problem:
        raise errors.forbidden(PODS, pod.metadata.name or "", problem)
    if pod.spec.priorityClassName in priorities.BUILT_IN_CLASSES:
        pod.spec.priority = priorities.priority(pod)


def _resized(new: core_v1.PodSpec, old: core_v1.PodSpec) -> core_v1.PodSpec:
    """`old` with the resources and resize policies of `new`: all else in it counts as not said, as in Kubernetes."""

    def resized(now: list[core_v1.Container], before: list[core_v1.Container]) -> list[core_v1.Container]:
        return [
            replace(kept, resources=one.resources, resizePolicy=one.resizePolicy)
            for one, kept in zip(now, before, strict=True)
        ]

    return replace(
        old,
        resources=new.resources,
        containers=resized(new.containers, old.containers),
        initContainers=resized(new.initContainers, old.initContainers),
    )


def _check_same_containers(new: core_v1.Pod, old: core_v1.Pod) -> None:
    """Raises StatusError 422: resources are taken over container by container."""
    problems = []
    for field in ("containers", "initContainers"):
        now, before = getattr(new.spec, field), getattr(old.spec, field)
        if len(now) != len(before):
            why = f"{field} may not be added or removed on resize"
            problems.append(forbidden(f"spec.{field}", why))
            continue
        why = f"{field} may not be renamed or reordered on resize"
        problems += [
            forbidden(f"spec.{field}[{index}].name", why)
            for index, (one, other) in enumerate(zip(now, before, strict=True))
            if one.name != other.name
        ]
    if problems:
        raise errors.invalid("Pod", old.metadata.name or "", problems)


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
