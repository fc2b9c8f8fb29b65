"""One ContainerStatus from what is on record of a container, and what hooks and probes say of it. Pure.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-states
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from minipod.api import core_v1
from minipod.api.timestamps import from_epoch_us
from minipod.kubelet.pod_names import AnyContainer
from minipod.kubelet.pods.health import Health
from minipod.kubelet.status.records import (
    CONTAINER_ID_PREFIX,
    UNKNOWN_EXIT_CODE,
    UNKNOWN_MESSAGE,
    UNKNOWN_REASON,
    ContainerRecord,
    History,
)


class Kind(StrEnum):
    MAIN = "main"
    INIT = "init"
    SIDECAR = "sidecar"
    EPHEMERAL = "ephemeral"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run yet or again."""

    reason: str
    message: str = ""


def container_status(
    container: AnyContainer,
    kind: Kind,
    history: History | None,
    *,
    health: Health,
    waiting: Waiting | None,
    default: Waiting,
    ended: bool,
    missed: bool,
) -> core_v1.ContainerStatus:
    """`waiting`: why it does not run now, if that is known; `default`: why not yet.

    `ended`: nothing of the pod runs again. `missed`: it should have run by now and never will.
    """
    status = core_v1.ContainerStatus(
        name=container.name, image=container.image or "", ready=False, restartCount=0
    )
    if kind is not Kind.EPHEMERAL:
        status.started = False
    if history is None:
        status.state = _lost() if missed else _waits(waiting or default)
        return status
    record, previous = history.latest, history.previous
    status.restartCount = record.attempt
    status.image = record.image or status.image
    status.imageID = record.image_id
    status.containerID = CONTAINER_ID_PREFIX + record.id if record.id else None
    if record.running and health.hooked:
        running = core_v1.ContainerStateRunning(startedAt=from_epoch_us(record.started_at))
        status.state = core_v1.ContainerState(running=running)
        if kind is not Kind.EPHEMERAL:
            status.started = health.started
        status.ready = kind in (Kind.MAIN, Kind.SIDECAR) and health.started and health.ready
    elif record.exited and (ended or not waiting):
        status.state = core_v1.ContainerState(terminated=terminated_state(record))
        status.ready = kind is Kind.INIT and record.succeeded
    elif record.exited:
        status.state = _waits(waiting or default)
        previous = record
    else:
        status.state = _lost() if missed else _waits(waiting or default)
    if previous and previous.exited:
        status.lastState = core_v1.ContainerState(terminated=terminated_state(previous))
    return status


def terminated_state(record: ContainerRecord) -> core_v1.ContainerStateTerminated:
    """The terminated state of a container that ended, or never got as far as its own program."""
    ended = record.exit
    assert ended is not None
    return core_v1.ContainerStateTerminated(
        exitCode=record.exit_code,
        signal=ended.signal or None,
        reason=record.reason or _reason(record),
        message=record.message or (record.failure.message if record.failure else None),
        startedAt=from_epoch_us(ended.started_at) if ended.started_at else None,
        finishedAt=from_epoch_us(ended.finished_at) if ended.finished_at else None,
        containerID=CONTAINER_ID_PREFIX + record.id if record.id else None,
    )


def _reason(record: ContainerRecord) -> str:
    if record.failure:
        return "StartError"
    if record.exit and record.exit.oom_killed:
        return "OOMKilled"
    return "Completed" if record.exit_code == 0 else "Error"


def _waits(waiting: Waiting) -> core_v1.ContainerState:
    return core_v1.ContainerState(
        waiting=core_v1.ContainerStateWaiting(reason=waiting.reason, message=waiting.message or None)
    )


def _lost() -> core_v1.ContainerState:
    """A pod that ended before this container ran: as the kubelet, show an error rather than nothing."""
    return core_v1.ContainerState(
        terminated=core_v1.ContainerStateTerminated(
            exitCode=UNKNOWN_EXIT_CODE, reason=UNKNOWN_REASON, message=UNKNOWN_MESSAGE
        )
    )
