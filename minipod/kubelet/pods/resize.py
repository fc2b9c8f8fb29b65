"""Changing the cpu and memory of running containers (KEP-1287): what to write, what to restart, what to say of it.

Pure. What is in force is what each container was started with or last given, recorded at the container (see
LABEL_RESOURCES), not what the spec says: after a crash the comparison is made again, so a resize is never half done.

    plan = plan_resize(pod, running, host)
    write plan.grow_pod, each of plan.updates, plan.shrink_pod; stop plan.restarts (they start with the new resources)
    status.conditions += resize_conditions(pod, plan, now);  container statuses get shown_resources(...)
    start containers from allocated(pod, running, plan)

https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/1287-in-place-update-pod-resources
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from minipod.api import codec, core_v1, pod_resources
from minipod.api.pod_resources import CPU, MEMORY, Amounts
from minipod.api.resource_fit import Insufficient, units
from minipod.kubelet.containers.cgroups import container_files, missing_controllers, pod_files
from minipod.kubelet.containers.limit_policy import LimitPolicy
from minipod.kubelet.containers.resources_in_force import (
    LABEL_RESOURCES,
    RESIZABLE,
    InForce,
    recorded,
    resizable,
)
from minipod.kubelet.settings import HostFacts

PENDING = "PodResizePending"
IN_PROGRESS = "PodResizeInProgress"
RESTART_MESSAGE = "Container {} resize requires restart"
"""What is said of stopping a container of ResizePlan.restarts (as the kubelet does)."""

_NO_LIMIT = "max"
_POD_FILES = ("cpu.weight", "cpu.max", "memory.max", "memory.min")
"""What of a pod's cgroup a resize may change."""
_CONTAINER_FILES = ("cpu.max", "memory.max", "memory.min", "memory.high")
"""Those of a container that are there only when they are asked for."""


class Pending(StrEnum):
    """Why a resize has not begun: it never can on this node, or not before other pods have gone."""

    INFEASIBLE = "Infeasible"
    DEFERRED = "Deferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerUpdate:
    """`files`: cgroup file -> value; `labels`: to be recorded with the write, so that it is known to be in force."""

    name: str
    id: str
    files: Mapping[str, str]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizePlan:
    """A decision, printable as it stands. Everything empty: what is in force is what the spec asks for."""

    grow_pod: Mapping[str, str] = field(default_factory=dict)
    """Files of the pod's cgroup to write before the containers'."""
    updates: tuple[ContainerUpdate, ...] = ()
    """In this order: those that shrink come first."""
    shrink_pod: Mapping[str, str] = field(default_factory=dict)
    """Files of the pod's cgroup to write after the containers'."""
    restarts: tuple[str, ...] = ()
    """Containers whose resizePolicy has them stopped and started again."""
    pending: Pending | None = None
    """The resize has not begun, and nothing of it is to be done; `problem` says why."""
    problem: str = ""
    """With `pending` unset: the resize is allowed, but a part of it cannot be done now."""

    @property
    def idle(self) -> bool:
        return not (self.updates or self.restarts or self.pending or self.problem or self.pod_files)

    @property
    def pod_files(self) -> Mapping[str, str]:
        return {**self.grow_pod, **self.shrink_pod}


NOTHING = ResizePlan()


def plan_resize(
    pod: core_v1.Pod,
    running: Mapping[str, InForce],
    host: HostFacts,
    *,
    strict: bool = True,
    allocatable: Amounts | None = None,
    others: Amounts | None = None,
    policy: LimitPolicy | None = None,
    pod_group: Mapping[str, str] | None = None,
) -> ResizePlan:
    """Compare the spec with what is in force.

    `running`: by name, of containers and sidecars; `strict`: as --cgroup-enforcement; `allocatable`: what the node
    has for its pods, None: all there is; `others`: what its other pods request, None: not counted; `pod_group`: the
    files of the pod's cgroup (SandboxStatus.resources), None: what follows from `running`. When all is written,
    node_groups.qos_files has changed too.
    """
    policy = policy or LimitPolicy()
    changed = [c for c in _resizable_containers(pod) if _differs(c, running.get(c.name))]
    if pod_group is None:
        pod_group = pod_files(_with_resources(pod, running), host, policy=policy)
    grow, shrink = _pod_changes(pod_group, pod_files(pod, host, policy=policy))
    if not (changed or grow or shrink):
        return NOTHING
    refusal = _refusal(pod, host, allocatable, others or {}, strict=strict)
    if refusal is not None:
        return refusal
    changed = [c for c in changed if running[c.name].running]
    restarts = tuple(c.name for c in changed if _needs_restart(c, running[c.name]))
    in_place = [c for c in changed if c.name not in restarts]
    problem = "; ".join(filter(None, (_below_usage(c, running[c.name]) for c in in_place)))
    if problem:
        return ResizePlan(problem=problem)
    updates = [_update(pod, c, running[c.name], host, policy) for c in in_place]
    shrinking = {c.name for c in in_place if _shrinks(c, running[c.name])}
    if restarts:
        shrink = {}  # what is about to be stopped still uses what it has: the pod shrinks when it has started anew
    return ResizePlan(
        grow_pod=grow,
        updates=tuple(sorted(updates, key=lambda update: update.name not in shrinking)),
        shrink_pod=shrink,
        restarts=restarts,
    )


def allocated(pod: core_v1.Pod, running: Mapping[str, InForce], plan: ResizePlan) -> core_v1.Pod:
    """The pod with the resources that are granted: those in force while a resize is pending, else the spec's."""
    return _with_resources(pod, running) if plan.pending else pod


def shown_resources(
    container: core_v1.Container, granted: core_v1.Container, force: InForce | None
) -> tuple[dict[str, str], core_v1.ResourceRequirements]:
    """A container status' allocatedResources and resources. `granted`: the container in allocated()."""
    own = granted.resources or core_v1.ResourceRequirements()
    actual = own
    if force is not None:
        spec = container.resources or core_v1.ResourceRequirements()
        actual = core_v1.ResourceRequirements(
            limits={**_others(own.limits), **force.resources.limits},
            requests={**_others(own.requests), **force.resources.requests},
            claims=spec.claims,
        )
    return dict(own.requests), actual


def resize_conditions(pod: core_v1.Pod, plan: ResizePlan, now: str) -> list[core_v1.PodCondition]:
    """PodResizePending or PodResizeInProgress, or neither. `now` (RFC 3339): for a condition that was not there."""
    if plan.pending:
        return [_condition(pod, PENDING, plan.pending.value, plan.problem, now)]
    if plan.problem:
        return [_condition(pod, IN_PROGRESS, "Error", plan.problem, now)]
    return [] if plan.idle else [_condition(pod, IN_PROGRESS, "", "", now)]


def _condition(pod: core_v1.Pod, type_: str, reason: str, message: str, now: str) -> core_v1.PodCondition:
    old = next((c for c in pod.status.conditions if c.type == type_ and c.status == "True"), None)
    return core_v1.PodCondition(
        type=type_,
        status="True",
        reason=reason or None,
        message=message or None,
        lastTransitionTime=old.lastTransitionTime if old else now,
        observedGeneration=pod.metadata.generation,
    )


def _refusal(
    pod: core_v1.Pod, host: HostFacts, allocatable: Amounts | None, others: Amounts, *, strict: bool
) -> ResizePlan | None:
    missing = missing_controllers(pod, host) if strict else []
    if missing:
        return ResizePlan(pending=Pending.INFEASIBLE, problem="; ".join(map(str, missing)))
    asked = pod_resources.amounts(pod_resources.pod_requests(pod))
    capacity = allocatable or {
        CPU: Fraction(host.cpu_capacity_millis, 1000),
        MEMORY: Fraction(host.memory_capacity),
    }
    for name in RESIZABLE:
        wanted, whole, taken = asked.get(name, Fraction(0)), capacity[name], others.get(name, Fraction(0))
        if wanted > whole:
            why = f"Node didn't have enough capacity: {name}, requested: {units(name, wanted)}, "
            return ResizePlan(pending=Pending.INFEASIBLE, problem=f"{why}capacity: {units(name, whole)}")
        if wanted + taken > whole:
            scarce = Insufficient(name, wanted, taken, whole)
            return ResizePlan(pending=Pending.DEFERRED, problem=str(scarce))
    return None


def _resizable_containers(pod: core_v1.Pod) -> Iterator[core_v1.Container]:
    yield from (c for c in pod.spec.initContainers if pod_resources.is_sidecar(c))
    yield from pod.spec.containers


def _differs(container: core_v1.Container, force: InForce | None) -> bool:
    return force is not None and any(_changes(container, force, name) for name in RESIZABLE)


def _changes(container: core_v1.Container, force: InForce, resource: str) -> bool:
    wanted = container.resources or core_v1.ResourceRequirements()
    return any(
        pod_resources.amounts(getattr(wanted, which)).get(resource)
        != pod_resources.amounts(getattr(force.resources, which)).get(resource)
        for which in ("requests", "limits")
    )


def _needs_restart(container: core_v1.Container, force: InForce) -> bool:
    policies = {policy.resourceName: policy.restartPolicy for policy in container.resizePolicy}
    return any(
        policies.get(name) == "RestartContainer" and _changes(container, force, name) for name in RESIZABLE
    )


def _update(
    pod: core_v1.Pod, container: core_v1.Container, force: InForce, host: HostFacts, policy: LimitPolicy
) -> ContainerUpdate:
    old = container_files(pod, container, host, policy, resources=force.resources)
    new = container_files(pod, container, host, policy, resources=resizable(container.resources))
    files = {name: value for name, value in new.items() if old.get(name) != value}
    files |= {name: _unset(name) for name in old if name not in new and name in _CONTAINER_FILES}
    return ContainerUpdate(
        name=container.name,
        id=force.id,
        files=files,
        labels={LABEL_RESOURCES: recorded(container.resources)},
    )


def _below_usage(container: core_v1.Container, force: InForce) -> str:
    """The kernel would answer a memory.max below what is in use by killing the container."""
    wanted = _limit(container.resources, MEMORY)
    before = _limit(force.resources, MEMORY)
    if wanted is None or force.memory_usage is None or (before is not None and wanted >= before):
        return ""
    if wanted > force.memory_usage:
        return ""
    return (
        f"attempting to set container {container.name!r} memory limit ({units(MEMORY, wanted)}) "
        f"below current usage ({force.memory_usage})"
    )


def _shrinks(container: core_v1.Container, force: InForce) -> bool:
    for name in RESIZABLE:
        wanted, before = _limit(container.resources, name), _limit(force.resources, name)
        if wanted is not None and (before is None or wanted < before):
            return True
    return False


def _limit(resources: core_v1.ResourceRequirements | None, name: str) -> Fraction | None:
    return pod_resources.amounts(resources.limits).get(name) if resources else None


def _pod_changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What grows has to be written before the containers grow into it, what shrinks after they have."""
    grow: dict[str, str] = {}
    shrink: dict[str, str] = {}
    for name in _POD_FILES:
        before, after = old.get(name, _unset(name)), new.get(name, _unset(name))
        if before != after:
            (grow if _size(after) >= _size(before) else shrink)[name] = after
    return grow, shrink


def _unset(name: str) -> str:
    """What the kernel has in a file that nobody has written."""
    return "0" if name == "memory.min" else _NO_LIMIT


def _size(value: str) -> float:
    first = value.split()[0]
    return math.inf if first == _NO_LIMIT else float(first)


def _with_resources(pod: core_v1.Pod, running: Mapping[str, InForce]) -> core_v1.Pod:
    """A copy in which the running containers have what is in force."""
    copy = codec.copy(pod)
    for container in _resizable_containers(copy):
        force = running.get(container.name)
        if force is None:
            continue
        own = container.resources or core_v1.ResourceRequirements()
        container.resources = core_v1.ResourceRequirements(
            limits={**_others(own.limits), **force.resources.limits},
            requests={**_others(own.requests), **force.resources.requests},
            claims=own.claims,
        )
    return copy


def _others(quantities: Mapping[str, str]) -> dict[str, str]:
    """What a resize leaves alone: huge pages and the like."""
    return {name: text for name, text in quantities.items() if name not in RESIZABLE}
