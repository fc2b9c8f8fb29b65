"""Pods as `kubectl get pods` shows them: one word of status for all that can be going on in a pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minipod.api import core_v1, pod_resources, timestamps
from minipod.api.meta_v1 import TableRowCondition
from minipod.apiserver.table.columns import AGE, NAME, NONE, Cells, Column, TableRules, age, since

COLUMNS = (
    NAME,
    Column("Ready", "How many of the pod's containers are ready."),
    Column("Status", "What the pod as a whole is doing."),
    Column("Restarts", "How often containers were restarted, and when last."),
    AGE,
    Column("IP", "The pod's address.", 1),
    Column("Node", "The node the pod is on.", 1),
    Column("Nominated Node", "The node the pod will go to when others have left it.", 1),
    Column("Readiness Gates", "How many of the pod's own conditions for readiness hold.", 1),
)

_SUCCEEDED = TableRowCondition(
    type="Completed", status="True", reason="Succeeded", message="The pod has completed successfully."
)
_FAILED = TableRowCondition(type="Completed", status="True", reason="Failed", message="The pod failed.")


def cells(pod: core_v1.Pod, now_us: int) -> Cells:
    summary = Summary(pod)
    addresses = pod.status.podIPs
    return [
        pod.metadata.name or "",
        f"{summary.ready}/{summary.total}",
        summary.status,
        _restarts(summary, now_us),
        age(pod, now_us),
        (addresses[0].ip if addresses else "") or NONE,
        pod.spec.nodeName or NONE,
        pod.status.nominatedNodeName or NONE,
        _gates(pod),
    ]


def conditions(pod: core_v1.Pod) -> Sequence[TableRowCondition]:
    if pod.status.phase == "Succeeded":
        return (_SUCCEEDED,)
    return (_FAILED,) if pod.status.phase == "Failed" else ()


PODS_TABLE = TableRules(COLUMNS, cells, conditions)


class Summary:
    """A pod's containers, summed up."""

    def __init__(self, pod: core_v1.Pod) -> None:
        self._pod = pod
        self._specs = {container.name: container for container in pod.spec.initContainers}
        sidecars = [c for c in pod.spec.initContainers if pod_resources.is_sidecar(c)]
        self.total = len(pod.spec.containers) + len(sidecars)
        self.ready = 0
        self.restarts = 0
        self.last_restart = 0
        """Microseconds since the epoch; 0 when it is not known."""
        self.status = _pod_reason(pod)
        initializing = self._look_at_init_containers()
        if not initializing or _condition(pod, "Initialized"):
            self._look_at_containers()
        self._look_at_deletion()

    def _look_at_init_containers(self) -> bool:
        """Whether the pod is still, or hopelessly, busy with them."""
        statuses = self._pod.status.initContainerStatuses
        for index, status in enumerate(statuses):
            self._count_restarts(status)
            if _terminated(status) and _exit_code(status) == 0:
                continue
            if self._is_sidecar(status) and status.started:
                self.ready += bool(status.ready)
                continue
            self.status = f"Init:{_init_reason(status) or f'{index}/{len(self._specs)}'}"
            return True
        return False

    def _look_at_containers(self) -> None:
        # From here on only what still restarts counts: the restarts of init containers are history.
        self.restarts = self.last_restart = 0
        for status in self._pod.status.initContainerStatuses:
            if self._is_sidecar(status):
                self._count_restarts(status)
        running = False
        for status in reversed(self._pod.status.containerStatuses):
            self._count_restarts(status)
            reason = _reason(status)
            if reason:
                self.status = reason
            elif status.ready and status.state and status.state.running:
                running = True
                self.ready += 1
        if self.status == "Completed" and running:
            self.status = "Running" if _condition(self._pod, "Ready") else "NotReady"

    def _look_at_deletion(self) -> None:
        if not self._pod.metadata.deletionTimestamp:
            return
        if self._pod.status.reason == "NodeLost":
            self.status = "Unknown"
        elif self._pod.status.phase not in ("Succeeded", "Failed"):
            self.status = "Terminating"

    def _count_restarts(self, status: core_v1.ContainerStatus) -> None:
        self.restarts += status.restartCount
        last = status.lastState.terminated if status.lastState else None
        if last:
            self.last_restart = max(self.last_restart, timestamps.to_epoch_us(last.finishedAt))

    def _is_sidecar(self, status: core_v1.ContainerStatus) -> bool:
        spec = self._specs.get(status.name)
        return spec is not None and pod_resources.is_sidecar(spec)


def _pod_reason(pod: core_v1.Pod) -> str:
    gated = any(c.type == "PodScheduled" and c.reason == "SchedulingGated" for c in pod.status.conditions)
    return "SchedulingGated" if gated else pod.status.reason or pod.status.phase or ""


def _init_reason(status: core_v1.ContainerStatus) -> str:
    """Why an init container holds the pod up; "" when it is just its turn."""
    if _terminated(status):
        return _reason(status)
    waiting = status.state.waiting if status.state else None
    reason = (waiting.reason if waiting else "") or ""
    return "" if reason == "PodInitializing" else reason


def _reason(status: core_v1.ContainerStatus) -> str:
    """Why a container is not running; "" when it is."""
    state = status.state
    if state and state.waiting and state.waiting.reason:
        return state.waiting.reason
    if state and state.terminated:
        ended = state.terminated
        if ended.reason:
            return ended.reason
        return f"Signal:{ended.signal}" if ended.signal else f"ExitCode:{ended.exitCode}"
    return ""


def _terminated(status: core_v1.ContainerStatus) -> bool:
    return status.state is not None and status.state.terminated is not None


def _exit_code(status: core_v1.ContainerStatus) -> int | None:
    return status.state.terminated.exitCode if status.state and status.state.terminated else None


def _restarts(summary: Summary, now_us: int) -> str:
    if summary.restarts and summary.last_restart:
        return f"{summary.restarts} ({since(timestamps.from_epoch_us(summary.last_restart), now_us)} ago)"
    return str(summary.restarts)


def _gates(pod: core_v1.Pod) -> str:
    gates = pod.spec.readinessGates
    if not gates:
        return NONE
    states: Mapping[str, str] = {c.type: c.status for c in pod.status.conditions}
    return f"{sum(states.get(gate.conditionType) == 'True' for gate in gates)}/{len(gates)}"


def _condition(pod: core_v1.Pod, type_: str) -> bool:
    return any(c.type == type_ and c.status == "True" for c in pod.status.conditions)
