"""PodStatus as a pure function of the Pod and what is known of its processes.

Phase, conditions, states and reasons follow the Kubernetes Pod lifecycle documentation
(https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from minipod.api import core_v1
from minipod.kubelet.pod_names import AnyContainer
from minipod.kubelet.pods.health import HEALTHY, Health
from minipod.kubelet.pods.restart_policy import is_sidecar
from minipod.kubelet.status.conditions import pod_conditions
from minipod.kubelet.status.container_states import Kind, Waiting, container_status, terminated_state
from minipod.kubelet.status.fates import (
    FAILED,
    FINAL_PHASES,
    PENDING,
    RUNNING,
    Fates,
    container_fates,
    pod_phase,
    processes_run,
)
from minipod.kubelet.status.records import History

__all__ = ["Failed", "PodView", "ShownResources", "Waiting", "generate_status", "terminated_state"]

DISRUPTION_TARGET = "DisruptionTarget"

ShownResources = tuple[dict[str, str], core_v1.ResourceRequirements]
"""A container status' allocatedResources, and the resources in force."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An end the kubelet itself has put to the pod (DeadlineExceeded, SysctlForbidden, Evicted, ...)."""

    reason: str
    message: str
    rejected: bool = False
    """The pod was not let in: there is nothing to say of its containers."""
    disrupted: bool = False
    """The pod was ended for the node's sake: it gets the condition DisruptionTarget (KEP-3329)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """All that PodStatus is computed from, besides the Pod."""

    histories: Mapping[str, History] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
    """By container id; what is missing is healthy."""
    restarts: Collection[str] = ()
    """As in compute_pod_actions: names that run again whatever their policy."""
    unwell: Collection[str] = ()
    """As in compute_pod_actions: ids whose end is no success."""
    conditions: Sequence[core_v1.PodCondition] = ()
    """What the kubelet says beyond the conditions every pod has (of a resize)."""
    resources: Mapping[str, ShownResources] = field(default_factory=dict)
    """By container name, where there is something to show."""
    sandbox_ready: bool = False
    failed: Failed | None = None
    terminal: bool = False
    """True when nothing of the pod will run again whatever its restartPolicy (it is ending or has failed)."""
    pod_ip: str = ""
    host_ip: str = ""
    qos_class: str = ""
    start_time: str = ""


def generate_status(pod: core_v1.Pod, view: PodView, *, now: str) -> core_v1.PodStatus:
    """The status to report; `now` (RFC 3339) becomes the time of every condition that changed.

    A phase is final only when no process of the pod is left, and then for ever.
    """
    if view.failed and view.failed.rejected:
        return _rejected(pod, view, view.failed)
    fates = container_fates(
        pod,
        view.histories,
        view.health,
        restarts=view.restarts,
        unwell=view.unwell,
        terminal=view.terminal,
    )
    running = processes_run(pod, view.histories)
    main, init, ephemeral = _container_statuses(pod, view, fates, running=running)
    coming = FAILED if view.failed else pod_phase(fates, terminal=view.terminal)
    known = pod.status.phase or ""
    withheld = running and coming in FINAL_PHASES
    failed = None if withheld else view.failed
    phase = known if known in FINAL_PHASES else _unfinished(known, fates) if withheld else coming
    return core_v1.PodStatus(
        phase=phase,
        reason=failed.reason if failed else pod.status.reason,
        message=failed.message if failed else pod.status.message,
        hostIP=view.host_ip or None,
        hostIPs=[core_v1.HostIP(ip=view.host_ip)] if view.host_ip else [],
        podIP=view.pod_ip or None,
        podIPs=[core_v1.PodIP(ip=view.pod_ip)] if view.pod_ip else [],
        startTime=view.start_time or None,
        qosClass=view.qos_class or None,
        containerStatuses=main,
        initContainerStatuses=init,
        ephemeralContainerStatuses=ephemeral,
        conditions=pod_conditions(
            pod,
            fates,
            init,
            main,
            phase=coming,
            sandbox_ready=view.sandbox_ready and (running or coming not in FINAL_PHASES),
            more=[*view.conditions, *_disruption(pod, failed, now)],
            now=now,
        ),
        observedGeneration=pod.metadata.generation,
    )


def _disruption(pod: core_v1.Pod, failed: Failed | None, now: str) -> list[core_v1.PodCondition]:
    """Said together with the final phase, not before: https://kep.k8s.io/3329."""
    if failed is None or not failed.disrupted:
        return []
    old = next((c for c in pod.status.conditions if c.type == DISRUPTION_TARGET), None)
    return [
        core_v1.PodCondition(
            type=DISRUPTION_TARGET,
            status="True",
            reason="TerminationByKubelet",
            message=failed.message,
            lastTransitionTime=old.lastTransitionTime if old and old.status == "True" else now,
            observedGeneration=pod.metadata.generation,
        )
    ]


def _rejected(pod: core_v1.Pod, view: PodView, failed: Failed) -> core_v1.PodStatus:
    return core_v1.PodStatus(
        phase=FAILED,
        reason=failed.reason,
        message=failed.message,
        startTime=view.start_time or None,
        qosClass=view.qos_class or None,
        conditions=pod.status.conditions,
        observedGeneration=pod.metadata.generation,
    )


def _unfinished(known: str, fates: Fates) -> str:
    """The phase of a pod that is to have a final one as soon as its processes have ended."""
    return known if known in (PENDING, RUNNING) else RUNNING if fates.begun else PENDING


def _container_statuses(
    pod: core_v1.Pod, view: PodView, fates: Fates, *, running: bool
) -> tuple[list[core_v1.ContainerStatus], ...]:
    """Main, init and ephemeral ones."""
    default = Waiting("PodInitializing" if pod.spec.initContainers else "ContainerCreating")
    missed = view.terminal and not running and (fates.begun or fates.reached)

    def status(container: AnyContainer, kind: Kind) -> core_v1.ContainerStatus:
        history = view.histories.get(container.name)
        found = container_status(
            container,
            kind,
            history,
            health=view.health.get(history.latest.id, HEALTHY) if history else HEALTHY,
            waiting=view.waiting.get(container.name),
            default=default,
            ended=view.terminal,
            missed=missed and kind is Kind.MAIN,
        )
        if container.name in view.resources:
            found.allocatedResources, found.resources = view.resources[container.name]
        return found

    spec: Sequence[core_v1.Container] = pod.spec.initContainers
    return (
        [status(c, Kind.MAIN) for c in pod.spec.containers],
        [status(c, Kind.SIDECAR if is_sidecar(c) else Kind.INIT) for c in spec],
        [status(c, Kind.EPHEMERAL) for c in pod.spec.ephemeralContainers],
    )
