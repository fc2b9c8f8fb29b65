"""What to do next with a pod: one pure function from what is wanted and what is there to a PodActions value.

The rules are those of the Kubernetes Pod lifecycle documentation
(https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/). Nothing here looks at a clock or a process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from minipod.api import core_v1
from minipod.kubelet.backoff import BackOffPolicy
from minipod.kubelet.pods.draft import Draft, Held, Kill, Start
from minipod.kubelet.pods.health import Health
from minipod.kubelet.pods.init_actions import Progress, decide_init
from minipod.kubelet.pods.restart_policy import is_sidecar
from minipod.kubelet.status.records import ContainerRecord
from minipod.runtime.types import ContainerState, SandboxState, SandboxStatus

__all__ = ["Held", "Kill", "PodActions", "Start", "compute_pod_actions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodActions:
    """A decision, printable as it stands. Everything empty: leave the pod as it is."""

    kill_sandbox: bool = False
    create_sandbox: bool = False
    sandbox_attempt: int = 0
    start: tuple[Start, ...] = ()
    """In this order, ephemeral and init containers first; none needs another one of them to be up."""
    kill: tuple[Kill, ...] = ()
    held: Mapping[str, Held] = field(default_factory=dict)
    over: bool = False
    """The pod has succeeded or failed: nothing of it will ever run again, and what still runs (sidecars, ephemeral
    containers) is to be stopped."""

    @property
    def wake_at(self) -> int | None:
        """The earliest moment (µs) at which time alone changes the decision."""
        return min((h.until for h in self.held.values()), default=None)

    @property
    def idle(self) -> bool:
        return not (self.kill_sandbox or self.create_sandbox or self.start or self.kill)


def compute_pod_actions(
    pod: core_v1.Pod,
    sandbox: SandboxStatus | None,
    records: Mapping[str, ContainerRecord],
    *,
    now: int,
    backoff: BackOffPolicy,
    health: Mapping[str, Health] = MappingProxyType({}),
    stopping: Collection[str] = (),
    restarts: Collection[str] = (),
    unwell: Collection[str] = (),
    unstartable: Collection[str] = (),
) -> PodActions:
    """Decide the next step of a pod that is to run (not one being deleted).

    `records`: the latest attempt per container; `now`: µs since the epoch; `health`: what hooks and probes say, by
    container id (missing: healthy); `stopping`: ids of containers that are being stopped already; `restarts`: names
    a user has asked to restart, which start again at once whatever their policy, until the next attempt is made;
    `unwell`: ids of containers that an earlier decision had killed, whose end is no success even with exit code 0;
    `unstartable`: names whose start was tried and has to wait (an image, a volume), so that a postStart hook of
    theirs holds nobody back.
    """
    draft = Draft(
        pod=pod,
        records=records,
        now=now,
        backoff=backoff,
        health=health,
        stopping=stopping,
        restarts=restarts,
        unwell=unwell,
        unstartable=unstartable,
    )
    if sandbox is None or sandbox.state is not SandboxState.READY:
        return _with_new_sandbox(draft, sandbox)
    _start_ephemeral(draft)
    progress = decide_init(draft)
    if progress is Progress.DONE:
        _decide_main(draft)
    if progress is Progress.FAILED or not _wanted(draft):
        return PodActions(over=True)
    return PodActions(start=tuple(draft.starts), kill=tuple(draft.kills), held=draft.held)


def _start_ephemeral(draft: Draft) -> None:
    """They wait for no init container, and are never started a second time."""
    for container in draft.pod.spec.ephemeralContainers:
        record = draft.records.get(container.name)
        if record is None or (record.current and record.state is ContainerState.CREATED):
            draft.start(container, record)


def _decide_main(draft: Draft) -> None:
    for container in _wanted(draft):
        record = draft.records.get(container.name)
        if record is not None and record.running:
            draft.keep(container, record)
        else:
            draft.start(container, record)


def _wanted(draft: Draft) -> list[core_v1.Container]:
    """The main containers that run, or will: all but those that have ended for good."""
    found = []
    for container in draft.pod.spec.containers:
        record = draft.records.get(container.name)
        if record is None or not record.exited or draft.runs_again(container, record):
            found.append(container)
    return found


def _with_new_sandbox(draft: Draft, sandbox: SandboxStatus | None) -> PodActions:
    """There is no sandbox, or its infra process died: everything starts again, as far as restartPolicy lets it."""
    wanted = _wanted(draft)
    if not wanted or (draft.pod.spec.restartPolicy == "Never" and _has_run(draft)):
        return PodActions(kill_sandbox=sandbox is not None, over=True)
    init = draft.pod.spec.initContainers
    for container in init[:1] or wanted:
        draft.start(container, draft.records.get(container.name))
    return PodActions(
        kill_sandbox=sandbox is not None,
        create_sandbox=bool(draft.starts),
        sandbox_attempt=sandbox.attempt + 1 if sandbox else 0,
        start=tuple(draft.starts),
        held=draft.held,
    )


def _has_run(draft: Draft) -> bool:
    """Whether a main container was ever made, or an init container has failed: no second try under Never."""
    if any(c.name in draft.records for c in draft.pod.spec.containers):
        return True
    init = [draft.records.get(c.name) for c in draft.pod.spec.initContainers if not is_sidecar(c)]
    return any(record is not None and record.exited and not record.succeeded for record in init)
