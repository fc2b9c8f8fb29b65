"""What to do next with a pod: one pure function from what is wanted and what is there to a PodActions value.

The rules are those of the Kubernetes Pod lifecycle documentation
(https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/). Nothing here looks at a clock or a process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from minipod.api import core_v1
from minipod.kubelet.backoff import BackOffPolicy, restart_after
from minipod.kubelet.pods.health import Health
from minipod.kubelet.status.records import ContainerRecord, container_hash
from minipod.runtime.types import ContainerState, SandboxState, SandboxStatus


@dataclass(frozen=True, slots=True)
class Start:
    """Start this container now, as this attempt; `delay` (seconds) is the back-off its next restart is under."""

    name: str
    attempt: int = 0
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop this container (by id), without waiting for it; `grace`: its seconds until the kill, None: the pod's."""

    name: str
    id: str
    message: str
    grace: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A restart that has to wait until `until` (µs since the epoch), `delay` seconds in all."""

    until: int
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PodActions:
    """A decision, printable as it stands. Everything empty: leave the pod as it is."""

    kill_sandbox: bool = False
    create_sandbox: bool = False
    sandbox_attempt: int = 0
    start_init: Start | None = None
    start: tuple[Start, ...] = ()
    kill: tuple[Kill, ...] = ()
    held: Mapping[str, Held] = field(default_factory=dict)
    over: bool = False
    """The pod has no live sandbox and will get none: nothing of it will ever run again."""

    @property
    def wake_at(self) -> int | None:
        """The earliest moment (µs) at which time alone changes the decision."""
        return min((h.until for h in self.held.values()), default=None)

    @property
    def idle(self) -> bool:
        return not (self.kill_sandbox or self.create_sandbox or self.start_init or self.start or self.kill)


def should_restart(policy: str | None, record: ContainerRecord) -> bool:
    """Whether the pod's restartPolicy has an ended container run again."""
    if policy == "Never":
        return False
    return policy != "OnFailure" or not record.succeeded


def compute_pod_actions(
    pod: core_v1.Pod,
    sandbox: SandboxStatus | None,
    records: Mapping[str, ContainerRecord],
    *,
    now: int,
    backoff: BackOffPolicy,
    health: Mapping[str, Health] = MappingProxyType({}),  # noqa: ARG001
    stopping: Collection[str] = (),  # noqa: ARG001
    restarts: Collection[str] = (),  # noqa: ARG001
    unstartable: Collection[str] = (),  # noqa: ARG001
) -> PodActions:
    """Decide the next step of a pod that is to run (not one being deleted).

    `records`: the latest attempt per container; `now`: µs since the epoch; `health`: what hooks and probes say, by
    container id (missing: healthy); `stopping`: ids of containers that are being stopped already; `restarts`: names
    a user has asked to restart, which start again at once whatever their policy; `unstartable`: names whose start
    was tried and has to wait (an image, a volume), so that a postStart hook of theirs holds nobody back.
    """
    if sandbox is None or sandbox.state is not SandboxState.READY:
        return _with_new_sandbox(pod, sandbox, records, now, backoff)
    main = pod.spec.containers
    if not any(c.name in records and records[c.name].current for c in main):
        undone = next((c for c in pod.spec.initContainers if not _done(records.get(c.name))), None)
        if undone is not None:
            return _next_init(pod, undone, records.get(undone.name), now, backoff)
    starts: list[Start] = []
    kills: list[Kill] = []
    held: dict[str, Held] = {}
    for container in main:
        record = records.get(container.name)
        if record and record.running:
            if record.hash and record.hash != container_hash(container):
                message = f"Container {container.name} definition changed, will be restarted"
                kills.append(Kill(container.name, record.id, message))
                starts.append(Start(container.name, record.attempt + 1, backoff.initial))
            continue
        if record and record.exited and not should_restart(pod.spec.restartPolicy, record):
            continue
        _restart(container.name, record, now, backoff, starts, held)
    return PodActions(start=tuple(starts), kill=tuple(kills), held=held)


def _with_new_sandbox(
    pod: core_v1.Pod,
    sandbox: SandboxStatus | None,
    records: Mapping[str, ContainerRecord],
    now: int,
    backoff: BackOffPolicy,
) -> PodActions:
    """There is no sandbox, or its infra process died: everything starts again, as far as restartPolicy lets it."""
    policy = pod.spec.restartPolicy
    ran = [records[c.name] for c in pod.spec.containers if c.name in records]
    wanted = [
        c for c in pod.spec.containers if c.name not in records or should_restart(policy, records[c.name])
    ]
    failed_init = any(
        c.name in records and records[c.name].exited and not records[c.name].succeeded
        for c in pod.spec.initContainers
    )
    if (policy == "Never" and (ran or failed_init)) or not wanted:
        return PodActions(kill_sandbox=sandbox is not None, over=True)
    starts: list[Start] = []
    held: dict[str, Held] = {}
    first_init = pod.spec.initContainers[0] if pod.spec.initContainers else None
    for container in [first_init] if first_init else wanted:
        _restart(container.name, records.get(container.name), now, backoff, starts, held)
    return PodActions(
        kill_sandbox=sandbox is not None,
        create_sandbox=bool(starts),
        sandbox_attempt=sandbox.attempt + 1 if sandbox else 0,
        start_init=starts[0] if first_init and starts else None,
        start=() if first_init else tuple(starts),
        held=held,
    )


def _next_init(
    pod: core_v1.Pod,
    container: core_v1.Container,
    record: ContainerRecord | None,
    now: int,
    backoff: BackOffPolicy,
) -> PodActions:
    """Init containers run one at a time: only the first one that has not succeeded counts."""
    if record and record.running:
        return PodActions()
    if record and record.current and record.exited and pod.spec.restartPolicy == "Never":
        return PodActions()  # the pod has failed; the phase function says so
    starts: list[Start] = []
    held: dict[str, Held] = {}
    _restart(container.name, record, now, backoff, starts, held)
    return PodActions(start_init=starts[0] if starts else None, held=held)


def _done(record: ContainerRecord | None) -> bool:
    return record is not None and record.current and record.succeeded


def _restart(
    name: str,
    record: ContainerRecord | None,
    now: int,
    backoff: BackOffPolicy,
    starts: list[Start],
    held: dict[str, Held],
) -> None:
    """Put the container on the list to start, or among those held back."""
    if record is None:
        starts.append(Start(name))
        return
    attempt = record.attempt + 1
    if record.current and record.state is ContainerState.CREATED:
        # A daemon died between making and starting it: it has not run, so this is not a restart.
        starts.append(Start(name, record.attempt, record.delay))
        return
    if record.exit is None or not record.current:
        starts.append(Start(name, attempt, backoff.initial))
        return
    restart = restart_after(
        backoff, delay=record.delay, started_at=record.exit.started_at, finished_at=record.exit.finished_at
    )
    # An end in the future means that the clock was set back: waiting for it could take for ever.
    if restart.start_at > now >= record.exit.finished_at:
        held[name] = Held(restart.start_at, record.delay)
    else:
        starts.append(Start(name, attempt, restart.next_delay))
