"""Turns what a pod worker knows into the status the API shows, and what has to be said once into events."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from minipod.api import core_v1, pod_resources, timestamps
from minipod.kubelet import events
from minipod.kubelet.pod_names import full_name
from minipod.kubelet.pods.actions import Held, PodActions
from minipod.kubelet.pods.health import Health
from minipod.kubelet.services import Services
from minipod.kubelet.status.conditions import OWN_CONDITIONS
from minipod.kubelet.status.generate import Failed, PodView, ShownResources, Waiting, generate_status
from minipod.kubelet.status.records import History, histories
from minipod.runtime.types import SandboxState, SandboxStatus


class PodReporter:
    """Holds the newest status of one pod: the API's copy may still be on its way."""

    def __init__(self, services: Services) -> None:
        self.status: core_v1.PodStatus | None = None
        self._services = services
        self._announced: dict[str, int] = {}

    def start_time(self, pod: core_v1.Pod) -> str:
        known = self.status.startTime if self.status else None
        return known or pod.status.startTime or ""

    def current(self, pod: core_v1.Pod) -> core_v1.Pod:
        """The Pod with the newest status known here; conditions of other writers are the API's."""
        if self.status is None:
            return pod
        status = self.status
        others = [c for c in pod.status.conditions if c.type not in OWN_CONDITIONS]
        ours = [c for c in status.conditions if c.type in OWN_CONDITIONS]
        if [*ours, *others] != status.conditions:
            status = _copy(status)
            status.conditions = [*ours, *others]
        return core_v1.Pod(metadata=pod.metadata, spec=pod.spec, status=status)

    def histories(
        self, pod: core_v1.Pod, *, messages: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, History]:
        """Every container of the pod that was ever started, by name; `messages`: termination messages by id."""
        runtime = self._services.runtime.status(pod.metadata.uid or "")
        return histories(self.current(pod), runtime, messages=messages)

    def report(
        self,
        pod: core_v1.Pod,
        *,
        actions: PodActions | None = None,
        waiting: Mapping[str, Waiting] | None = None,
        networked: bool,
        pod_ip: str,
        failed: Failed | None,
        terminal: bool = False,
        health: Mapping[str, Health] = MappingProxyType({}),
        messages: Mapping[str, str] = MappingProxyType({}),
        restarts: Collection[str] = (),
        unwell: Collection[str] = (),
        conditions: Sequence[core_v1.PodCondition] = (),
        resources: Mapping[str, ShownResources] = MappingProxyType({}),
    ) -> core_v1.PodStatus:
        """Compute the status and hand it to the writer, which does not make us wait.

        `messages`: termination messages by container id; `health`, `restarts` and `unwell`: as the decision had them;
        `conditions` and `resources` (by container name): what there is to say of a resize.
        """
        runtime = self._services.runtime.status(pod.metadata.uid or "")
        base = self.current(pod)
        held = actions.held if actions else {}
        why = {name: _crash_loop(pod, name, h) for name, h in held.items()} | dict(waiting or {})
        now = timestamps.now()
        view = PodView(
            histories=histories(base, runtime, messages=messages),
            waiting={} if terminal else why,
            health=health,
            restarts=restarts,
            unwell=unwell,
            conditions=conditions,
            resources=resources,
            sandbox_ready=runtime is not None and runtime.state is SandboxState.READY and networked,
            failed=failed,
            terminal=terminal or failed is not None,
            pod_ip=pod_ip or (base.status.podIP or "" if terminal else ""),
            host_ip=self._services.settings.host_ip,
            qos_class=base.status.qosClass or pod_resources.qos_class(pod),
            start_time=self.start_time(pod) or _begin(runtime) or now,
        )
        self.status = generate_status(base, view, now=now)
        self._services.statuses.set(pod, self.status)
        self._services.history.observe(pod, base.status, self.status, view.histories)
        return self.status

    def announce(self, pod: core_v1.Pod, held: Mapping[str, Held]) -> None:
        """One BackOff event per delay, not one per look."""
        for name, one in held.items():
            if self._announced.get(name) != one.until:
                self._announced[name] = one.until
                message = f"Back-off restarting failed container {name} in pod {full_name(pod)}"
                self._services.events.pod_event(
                    pod, events.WARNING, events.BACK_OFF, message, container=name
                )


def _begin(runtime: SandboxStatus | None) -> str:
    """When an earlier daemon, which could not report it any more, began with the pod."""
    return timestamps.from_epoch_us(runtime.created_at) if runtime else ""


def _crash_loop(pod: core_v1.Pod, name: str, held: Held) -> Waiting:
    return Waiting(
        "CrashLoopBackOff",
        f"back-off {go_duration(held.delay)} restarting failed container={name} pod={full_name(pod)}",
    )


def _copy(status: core_v1.PodStatus) -> core_v1.PodStatus:
    """Shallow: lists are replaced by the caller, never changed."""
    return core_v1.PodStatus(**{field: getattr(status, field) for field in status.__struct_fields__})


def go_duration(seconds: float) -> str:
    """10s, 1m20s, 5m0s, as Kubernetes' own messages print durations."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
