"""PodStatus as a pure function of the Pod and what is known of its processes.

Phase, conditions, states and reasons follow the Kubernetes Pod lifecycle documentation
(https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minipod.api import core_v1
from minipod.api.timestamps import from_epoch_us
from minipod.kubelet.pods.health import Health
from minipod.kubelet.status.records import CONTAINER_ID_PREFIX, START_ERROR_CODE, ContainerRecord, History

ALL_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run yet or again."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """An end the kubelet itself has put to the pod (DeadlineExceeded, SysctlForbidden, ...)."""

    reason: str
    message: str
    rejected: bool = False
    """The pod was not let in: there is nothing to say of its containers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """All that PodStatus is computed from, besides the Pod."""

    histories: Mapping[str, History] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
    """By container id; what is missing is healthy."""
    sandbox_ready: bool = False
    failed: Failed | None = None
    terminal: bool = False
    """True when nothing of the pod will run again whatever its restartPolicy (it is ending or has failed)."""
    pod_ip: str = ""
    host_ip: str = ""
    qos_class: str = ""
    start_time: str = ""


def generate_status(pod: core_v1.Pod, view: PodView, *, now: str) -> core_v1.PodStatus:
    """The status to report; `now` (RFC 3339) becomes the time of every condition that changed."""
    if view.failed and view.failed.rejected:
        return _rejected(pod, view, view.failed)
    main = [_container_status(pod, c, view, init=False) for c in pod.spec.containers]
    init = [_container_status(pod, c, view, init=True) for c in pod.spec.initContainers]
    phase = "Failed" if view.failed else pod_phase(pod, init, main, terminal=view.terminal)
    status = core_v1.PodStatus(
        phase=phase,
        reason=view.failed.reason if view.failed else pod.status.reason,
        message=view.failed.message if view.failed else pod.status.message,
        hostIP=view.host_ip or None,
        hostIPs=[core_v1.HostIP(ip=view.host_ip)] if view.host_ip else [],
        podIP=view.pod_ip or None,
        podIPs=[core_v1.PodIP(ip=view.pod_ip)] if view.pod_ip else [],
        startTime=view.start_time or None,
        qosClass=view.qos_class or None,
        containerStatuses=main,
        initContainerStatuses=init,
        observedGeneration=pod.metadata.generation,
    )
    status.conditions = _conditions(pod, view, status, now)
    return status


def _rejected(pod: core_v1.Pod, view: PodView, failed: Failed) -> core_v1.PodStatus:
    return core_v1.PodStatus(
        phase="Failed",
        reason=failed.reason,
        message=failed.message,
        startTime=view.start_time or None,
        qosClass=view.qos_class or None,
        conditions=pod.status.conditions,
        observedGeneration=pod.metadata.generation,
    )


def pod_phase(
    pod: core_v1.Pod,
    init: Sequence[core_v1.ContainerStatus],
    main: Sequence[core_v1.ContainerStatus],
    *,
    terminal: bool = False,
) -> str:
    """Pending, Running, Succeeded or Failed.

    A container that ended and waits for its restart counts as ended; one that never started counts as waiting.
    Failed needs every container to have ended and at least one to have failed. `terminal`: nothing will run again.
    """
    policy = pod.spec.restartPolicy or "Always"
    ended = [s for s in main if _ended(s)]
    running = [s for s in main if s.state and s.state.running]
    waiting = len(main) - len(ended) - len(running)
    initializing = not running and any(not _succeeded(s) for s in init)
    if initializing and any(_ended_badly(s) for s in init) and policy == "Never":
        return "Failed"
    if terminal and not running:
        return "Succeeded" if not initializing and not waiting and all(map(_succeeded, ended)) else "Failed"
    if initializing or waiting or not (running or ended):
        return "Pending"
    if running or policy == "Always":
        return "Running"
    if all(map(_succeeded, ended)):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _last_termination(status: core_v1.ContainerStatus) -> core_v1.ContainerStateTerminated | None:
    if status.state and status.state.terminated:
        return status.state.terminated
    if status.state and status.state.waiting and status.lastState:
        return status.lastState.terminated
    return None


def _ended(status: core_v1.ContainerStatus) -> bool:
    return _last_termination(status) is not None


def _succeeded(status: core_v1.ContainerStatus) -> bool:
    ended = _last_termination(status)
    return ended is not None and ended.exitCode == 0


def _ended_badly(status: core_v1.ContainerStatus) -> bool:
    ended = _last_termination(status)
    return ended is not None and ended.exitCode != 0


def _container_status(
    pod: core_v1.Pod, container: core_v1.Container, view: PodView, *, init: bool
) -> core_v1.ContainerStatus:
    history = view.histories.get(container.name)
    waiting = view.waiting.get(container.name)
    default = Waiting("PodInitializing" if pod.spec.initContainers else "ContainerCreating")
    status = core_v1.ContainerStatus(
        name=container.name,
        image=container.image or "",
        imageID="",
        ready=False,
        restartCount=0,
        started=False,
    )
    if history is None:
        status.state = core_v1.ContainerState(waiting=_waiting(waiting or default))
        return status
    record, previous = history.latest, history.previous
    status.restartCount = record.attempt
    status.image = record.image or status.image
    status.imageID = record.image_id
    status.containerID = CONTAINER_ID_PREFIX + record.id if record.id else None
    if record.running:
        status.state = core_v1.ContainerState(
            running=core_v1.ContainerStateRunning(startedAt=from_epoch_us(record.started_at))
        )
        status.started = True
        status.ready = not init
    elif record.exited and waiting and not view.terminal:
        status.state = core_v1.ContainerState(waiting=_waiting(waiting))
        previous = record
    elif record.exited:
        status.state = core_v1.ContainerState(terminated=terminated_state(record))
        status.ready = init and record.succeeded
    else:
        status.state = core_v1.ContainerState(waiting=_waiting(waiting or default))
    if previous and previous.exited:
        status.lastState = core_v1.ContainerState(terminated=terminated_state(previous))
    return status


def terminated_state(record: ContainerRecord) -> core_v1.ContainerStateTerminated:
    """The terminated state of a container that ended, or never got as far as its own program."""
    ended = record.exit
    assert ended is not None
    reason = record.reason
    if not reason:
        if record.failure:
            reason = "StartError"
        elif ended.oom_killed:
            reason = "OOMKilled"
        else:
            reason = "Completed" if ended.code == 0 else "Error"
    return core_v1.ContainerStateTerminated(
        exitCode=START_ERROR_CODE if record.failure else ended.code,
        signal=ended.signal or None,
        reason=reason,
        message=record.message or (record.failure.message if record.failure else None),
        startedAt=from_epoch_us(ended.started_at) if ended.started_at else None,
        finishedAt=from_epoch_us(ended.finished_at) if ended.finished_at else None,
        containerID=CONTAINER_ID_PREFIX + record.id if record.id else None,
    )


def _waiting(waiting: Waiting) -> core_v1.ContainerStateWaiting:
    return core_v1.ContainerStateWaiting(reason=waiting.reason, message=waiting.message or None)


def _conditions(
    pod: core_v1.Pod, view: PodView, status: core_v1.PodStatus, now: str
) -> list[core_v1.PodCondition]:
    done = status.phase in ("Succeeded", "Failed")
    unready = [s.name for s in status.containerStatuses if not s.ready]
    uninitialized = [s.name for s in status.initContainerStatuses if not _succeeded(s)]
    if any(_ended(s) or (s.state and s.state.running) for s in status.containerStatuses):
        uninitialized = []
    old = {c.type: c for c in pod.status.conditions}
    wanted = {
        "PodReadyToStartContainers": _condition(view.sandbox_ready and not done),
        "Initialized": _initialized_condition(status.phase, uninitialized),
        "Ready": _ready_condition(status.phase, unready),
        "ContainersReady": _ready_condition(status.phase, unready),
        "PodScheduled": _condition(True),
    }
    conditions = []
    for type_ in ALL_CONDITIONS:
        condition = wanted[type_]
        condition.type = type_
        before = old.pop(type_, None)
        unchanged = before is not None and before.status == condition.status
        condition.lastTransitionTime = before.lastTransitionTime if before and unchanged else now
        condition.observedGeneration = pod.metadata.generation
        conditions.append(condition)
    return [*conditions, *old.values()]  # conditions of other writers are kept


def _condition(true: bool, reason: str | None = None, message: str | None = None) -> core_v1.PodCondition:
    return core_v1.PodCondition(type="", status="True" if true else "False", reason=reason, message=message)


def _initialized_condition(phase: str | None, uninitialized: list[str]) -> core_v1.PodCondition:
    if phase == "Succeeded":
        return _condition(True, "PodCompleted")
    if uninitialized:
        return _condition(
            False,
            "ContainersNotInitialized",
            f"containers with incomplete status: [{' '.join(uninitialized)}]",
        )
    return _condition(True)


def _ready_condition(phase: str | None, unready: list[str]) -> core_v1.PodCondition:
    if phase == "Succeeded":
        return _condition(False, "PodCompleted")
    if phase == "Failed":
        return _condition(False, "PodFailed")
    if unready:
        return _condition(
            False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
        )
    return _condition(True)
