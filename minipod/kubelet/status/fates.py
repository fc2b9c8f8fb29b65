"""Where each container of a pod stands, as far as phase and conditions care; and the phase that follows. Pure.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from minipod.api import core_v1
from minipod.kubelet.pod_names import all_containers
from minipod.kubelet.pods.health import HEALTHY, Health
from minipod.kubelet.pods.restart_policy import failed_for_good, is_sidecar, runs_again
from minipod.kubelet.status.records import History

PENDING = "Pending"
RUNNING = "Running"
SUCCEEDED = "Succeeded"
FAILED = "Failed"
FINAL_PHASES = (SUCCEEDED, FAILED)


class Fate(StrEnum):
    """RESTARTING: it has ended and will run again. SUCCEEDED and FAILED are for good."""

    WAITING = "waiting"
    RUNNING = "running"
    RESTARTING = "restarting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fates:
    """By name, in the order of the spec. `up`: the sidecars that have started, so that the next one could begin."""

    main: Mapping[str, Fate]
    init: Mapping[str, Fate]
    sidecars: Mapping[str, Fate]
    up: Collection[str]

    @property
    def running(self) -> bool:
        """Whether any of the containers that decide on the pod's end runs."""
        return Fate.RUNNING in (*self.main.values(), *self.init.values(), *self.sidecars.values())

    @property
    def begun(self) -> bool:
        """Whether a main container has ever run: then the pod counts as initialized for ever."""
        return any(fate is not Fate.WAITING for fate in self.main.values())

    @property
    def reached(self) -> bool:
        """Whether the init containers have come to their end: each has succeeded or, a sidecar, ever run."""
        return all(fate is Fate.SUCCEEDED for fate in self.init.values()) and all(
            fate is not Fate.WAITING for fate in self.sidecars.values()
        )


def container_fates(
    pod: core_v1.Pod,
    histories: Mapping[str, History],
    health: Mapping[str, Health],
    *,
    restarts: Collection[str],
    unwell: Collection[str],
    terminal: bool,
) -> Fates:
    """`terminal`: nothing that has ended runs again. The other arguments are those of compute_pod_actions."""

    def fate(container: core_v1.Container, *, init: bool) -> Fate:
        history = histories.get(container.name)
        if history is None:
            return Fate.WAITING
        record = history.latest
        if not record.exited:
            return _unended(history, health)
        if not terminal:
            asked = container.name in restarts
            if init:
                again = not record.succeeded and not failed_for_good(pod, container, record, asked=asked)
            else:
                again = runs_again(pod, container, record, asked=asked, unwell=record.id in unwell)
            if again:
                return Fate.RESTARTING
        return Fate.SUCCEEDED if record.succeeded else Fate.FAILED

    init = pod.spec.initContainers
    return Fates(
        main={c.name: fate(c, init=False) for c in pod.spec.containers},
        init={c.name: fate(c, init=True) for c in init if not is_sidecar(c)},
        sidecars={c.name: fate(c, init=False) for c in init if is_sidecar(c)},
        up={c.name for c in init if is_sidecar(c) and _up(histories.get(c.name), health)},
    )


def _unended(history: History, health: Mapping[str, Health]) -> Fate:
    """Of a container that was made and has not ended: it runs once its postStart hook is over."""
    record = history.latest
    if record.running and health.get(record.id, HEALTHY).hooked:
        return Fate.RUNNING
    return Fate.RESTARTING if history.previous and history.previous.exited else Fate.WAITING


def _up(history: History | None, health: Mapping[str, Health]) -> bool:
    if history is None or not history.latest.running:
        return False
    found = health.get(history.latest.id, HEALTHY)
    return found.hooked and found.started


def processes_run(pod: core_v1.Pod, histories: Mapping[str, History]) -> bool:
    """Whether a process of the pod runs: then no phase is final yet."""
    return any(histories[c.name].latest.running for c in all_containers(pod) if c.name in histories)


def pod_phase(fates: Fates, *, terminal: bool) -> str:
    """Pending, Running, Succeeded or Failed.

    A container that ended and waits for its restart counts as ended; one that never started counts as waiting.
    Failed needs an init container that failed for good, or every container to have ended and at least one to have
    failed. Sidecars keep a pod from its final phase only as long as they run. `terminal`: nothing will run again.
    """
    main = set(fates.main.values())
    if Fate.FAILED in fates.init.values():
        return FAILED
    if terminal and not fates.running:
        return SUCCEEDED if main == {Fate.SUCCEEDED} else FAILED
    if Fate.WAITING in main or Fate.WAITING in fates.sidecars.values():
        return PENDING
    if Fate.RUNNING in main or Fate.RUNNING in fates.sidecars.values() or Fate.RESTARTING in main:
        return RUNNING
    return SUCCEEDED if main == {Fate.SUCCEEDED} else FAILED
