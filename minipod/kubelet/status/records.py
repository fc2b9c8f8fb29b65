"""What is known of each container's latest attempt, wherever the knowledge comes from.

Usually from the runtime. After a reboot the runtime knows nothing, but the Pod's own status still tells that a
container once ran, how often it was restarted and how it ended: such a record has `current=False`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from minipod.api import core_v1
from minipod.api.timestamps import to_epoch_us
from minipod.kubelet.pod_names import AnyContainer
from minipod.runtime.types import ContainerState, ContainerStatus, ExitRecord, SandboxStatus, StartFailure

LABEL_HASH = "minipod.io/container-hash"
LABEL_IMAGE = "minipod.io/image"
LABEL_IMAGE_ID = "minipod.io/image-id"
LABEL_RESTART_DELAY = "minipod.io/restart-delay"
LABEL_PROCESS = "minipod.io/process"
LABEL_STOP_SIGNAL = "minipod.io/stop-signal"

CONTAINER_ID_PREFIX = "minipod://"

UNKNOWN_REASON = "ContainerStatusUnknown"
UNKNOWN_MESSAGE = "The container could not be located when the pod was terminated"
UNKNOWN_EXIT_CODE = 137

START_ERROR_CODE = 128
"""The exit code Kubernetes shows for a container whose own program never ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """The latest attempt at one container; times in µs since the epoch."""

    name: str
    attempt: int
    id: str
    state: ContainerState
    started_at: int = 0
    exit: ExitRecord | None = None
    failure: StartFailure | None = None
    reason: str = ""
    message: str = ""
    image: str = ""
    image_id: str = ""
    hash: str = ""
    delay: float = 0.0
    current: bool = True
    """False when the record comes from the Pod's status: the sandbox it ran in is gone."""

    @property
    def running(self) -> bool:
        return self.current and self.state is ContainerState.RUNNING

    @property
    def exited(self) -> bool:
        return self.state is ContainerState.EXITED

    @property
    def exit_code(self) -> int:
        """As the API shows it, 0 for a container that has not ended."""
        if self.failure is not None:
            return START_ERROR_CODE
        return self.exit.code if self.exit else 0

    @property
    def succeeded(self) -> bool:
        return self.exited and self.exit is not None and self.exit.code == 0


@dataclass(frozen=True, slots=True)
class History:
    """The latest attempt at a container and the one before it (which becomes lastState)."""

    latest: ContainerRecord
    previous: ContainerRecord | None = None


def container_hash(container: AnyContainer) -> str:
    """Changes exactly when a running container must be replaced: its name or its image (as in the kubelet)."""
    return hashlib.sha256(f"{container.name}\0{container.image or ''}".encode()).hexdigest()[:16]


def histories(
    pod: core_v1.Pod,
    sandbox: SandboxStatus | None,
    *,
    messages: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, History]:
    """Every container of the pod that was ever started, by name; `messages`: termination messages by container id."""
    known: dict[str, History] = {}
    for status in container_statuses(pod):
        history = _from_api(status)
        if history:
            known[status.name] = history
    if sandbox is None:
        return known
    messages = _messages_on_record(known) | {id_: said for id_, said in messages.items() if said}
    by_name: dict[str, list[ContainerStatus]] = {}
    for container in sandbox.containers:
        if container.failure and container.failure.of_subpath:
            continue  # no attempt: as with any other mistake in its configuration it was never made
        by_name.setdefault(container.name, []).append(container)
    for name, attempts in by_name.items():
        attempts.sort(key=lambda c: c.attempt)
        latest = _from_runtime(attempts[-1], messages)
        older = (
            _from_runtime(attempts[-2], messages) if len(attempts) > 1 else _before(latest, known.get(name))
        )
        known[name] = History(latest, older)
    return known


def container_statuses(pod: core_v1.Pod) -> Iterator[core_v1.ContainerStatus]:
    """Those of all kinds of containers."""
    yield from pod.status.initContainerStatuses
    yield from pod.status.containerStatuses
    yield from pod.status.ephemeralContainerStatuses


def _messages_on_record(known: Mapping[str, History]) -> dict[str, str]:
    """What the API still has of last words that were read once."""
    records = [r for history in known.values() for r in (history.latest, history.previous) if r]
    return {r.id: r.message for r in records if r.message and r.reason != UNKNOWN_REASON}


def latest(known: Mapping[str, History]) -> dict[str, ContainerRecord]:
    return {name: history.latest for name, history in known.items()}


def _before(record: ContainerRecord, known: History | None) -> ContainerRecord | None:
    """What the API remembers from before this record: the attempt that is its lastState."""
    if known is None:
        return None
    return known.previous if known.latest.id == record.id else known.latest


def _from_runtime(status: ContainerStatus, messages: Mapping[str, str]) -> ContainerRecord:
    labels = status.labels
    return ContainerRecord(
        name=status.name,
        attempt=status.attempt,
        id=status.id,
        state=status.state,
        started_at=status.started_at,
        exit=status.exit,
        failure=status.failure,
        message=messages.get(status.id, ""),
        image=labels.get(LABEL_IMAGE, ""),
        image_id=labels.get(LABEL_IMAGE_ID, ""),
        hash=labels.get(LABEL_HASH, ""),
        delay=float(labels.get(LABEL_RESTART_DELAY, "0")),
    )


def _from_api(status: core_v1.ContainerStatus) -> History | None:
    last = status.lastState.terminated if status.lastState else None
    state = status.state or core_v1.ContainerState()
    previous = _terminated(status, last, status.restartCount - 1) if last else None
    if state.terminated:
        return History(_terminated(status, state.terminated, status.restartCount), previous)
    if state.running:
        return History(_lost(status, state.running), previous)
    if last:  # waiting for a restart: the last termination is the latest thing that happened
        return History(_terminated(status, last, status.restartCount))
    return None


def _terminated(
    status: core_v1.ContainerStatus, ended: core_v1.ContainerStateTerminated, attempt: int
) -> ContainerRecord:
    started = to_epoch_us(ended.startedAt)
    return ContainerRecord(
        name=status.name,
        attempt=max(attempt, 0),
        id=(ended.containerID or status.containerID or "").removeprefix(CONTAINER_ID_PREFIX),
        state=ContainerState.EXITED,
        started_at=started,
        exit=ExitRecord(
            code=ended.exitCode,
            signal=ended.signal or 0,
            started_at=started,
            finished_at=to_epoch_us(ended.finishedAt),
        ),
        reason=ended.reason or "",
        message=ended.message or "",
        image=status.image,
        image_id=status.imageID,
        current=False,
    )


def _lost(status: core_v1.ContainerStatus, running: core_v1.ContainerStateRunning) -> ContainerRecord:
    started = to_epoch_us(running.startedAt)
    return ContainerRecord(
        name=status.name,
        attempt=status.restartCount,
        id=(status.containerID or "").removeprefix(CONTAINER_ID_PREFIX),
        state=ContainerState.EXITED,
        started_at=started,
        exit=ExitRecord(code=UNKNOWN_EXIT_CODE, started_at=started, finished_at=0),
        reason=UNKNOWN_REASON,
        message=UNKNOWN_MESSAGE,
        image=status.image,
        image_id=status.imageID,
        current=False,
    )
