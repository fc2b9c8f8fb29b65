"""The conditions of a pod, with the kubelet's reasons and messages. Pure.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
"""

from __future__ import annotations

from collections.abc import Sequence

from minipod.api import core_v1
from minipod.kubelet.pods.restart_policy import is_sidecar
from minipod.kubelet.status.fates import FAILED, SUCCEEDED, Fates

ALL_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")

OWN_CONDITIONS = frozenset({*ALL_CONDITIONS, "PodResizePending", "PodResizeInProgress"})
"""Those that the kubelet writes; all others are somebody else's, who may change them at any time."""


def pod_conditions(
    pod: core_v1.Pod,
    fates: Fates,
    init: Sequence[core_v1.ContainerStatus],
    main: Sequence[core_v1.ContainerStatus],
    *,
    phase: str,
    sandbox_ready: bool,
    more: Sequence[core_v1.PodCondition] = (),
    now: str,
) -> list[core_v1.PodCondition]:
    """`now` becomes the time of those whose status has changed; conditions of other writers are kept as they are.

    `more`: what else the kubelet says, dated already (of a resize, of an eviction).
    """
    sidecars = {c.name for c in pod.spec.initContainers if is_sidecar(c)}
    needed = [*(s for s in init if s.name in sidecars), *main]
    containers_ready = _containers_ready(phase, [s.name for s in needed if not s.ready])
    incomplete = [s.name for s in init if not (s.started if s.name in sidecars else s.ready)]
    old = {c.type: c for c in pod.status.conditions}
    wanted = {
        "PodReadyToStartContainers": _condition(sandbox_ready),
        "Initialized": _initialized(phase, [] if fates.begun else incomplete),
        "Ready": _ready(pod, containers_ready, old),
        "ContainersReady": containers_ready,
        "PodScheduled": _condition(True),
    }
    conditions = []
    for type_ in ALL_CONDITIONS:
        found, before = wanted[type_], old.get(type_)
        since = before.lastTransitionTime if before and before.status == found.status else now
        conditions.append(
            core_v1.PodCondition(
                type=type_,
                status=found.status,
                reason=found.reason,
                message=found.message,
                lastTransitionTime=since,
                observedGeneration=pod.metadata.generation,
            )
        )
    said = OWN_CONDITIONS | {c.type for c in more}
    others = [c for c in pod.status.conditions if c.type not in said]
    return [*conditions, *more, *others]


def _condition(true: bool, reason: str | None = None, message: str | None = None) -> core_v1.PodCondition:
    return core_v1.PodCondition(type="", status="True" if true else "False", reason=reason, message=message)


def _initialized(phase: str, incomplete: list[str]) -> core_v1.PodCondition:
    if phase == SUCCEEDED:
        return _condition(True, "PodCompleted")
    if incomplete:
        message = f"containers with incomplete status: [{' '.join(incomplete)}]"
        return _condition(False, "ContainersNotInitialized", message)
    return _condition(True)


def _containers_ready(phase: str, unready: list[str]) -> core_v1.PodCondition:
    if phase == SUCCEEDED:
        return _condition(False, "PodCompleted")
    if phase == FAILED:
        return _condition(False, "PodFailed")
    if unready:
        message = f"containers with unready status: [{' '.join(unready)}]"
        return _condition(False, "ContainersNotReady", message)
    return _condition(True)


def _ready(
    pod: core_v1.Pod, containers_ready: core_v1.PodCondition, known: dict[str, core_v1.PodCondition]
) -> core_v1.PodCondition:
    """All containers are, and whatever else the pod's readinessGates name (KEP-580)."""
    if containers_ready.status != "True":
        return containers_ready
    missing = []
    for gate in pod.spec.readinessGates:
        name = gate.conditionType
        found = known.get(name)
        if found is None:
            missing.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif found.status != "True":
            missing.append(f'the status of pod readiness gate "{name}" is not "True", but {found.status}')
    return _condition(False, "ReadinessGatesNotReady", ", ".join(missing)) if missing else _condition(True)
