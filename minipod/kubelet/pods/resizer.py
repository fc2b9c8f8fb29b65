"""Carries out what resize.py plans for one pod, and keeps the plan for its status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet import events
from minipod.kubelet.containers.resources_in_force import RESIZABLE, InForce, in_force
from minipod.kubelet.node_resources import allocatable
from minipod.kubelet.pod_names import all_containers
from minipod.kubelet.pods.resize import (
    NOTHING,
    Pending,
    ResizePlan,
    allocated,
    plan_resize,
    resize_conditions,
    shown_resources,
)
from minipod.kubelet.services import Services
from minipod.kubelet.settings import CgroupEnforcement
from minipod.kubelet.status.generate import ShownResources
from minipod.runtime.errors import RuntimeServiceError
from minipod.runtime.types import ContainerState, ContainerStatus, SandboxStatus

NOT_RESIZED = "pids."
"""Files of a pod's cgroup that no resize speaks of."""


class Resizer:
    """`plan` is the last decision; an idle one means that what the spec asks for is in force."""

    def __init__(self, services: Services, ring: Callable[[], None]) -> None:
        """`ring`: called when a resize that had to wait may be tried again."""
        self._ring = ring
        self.plan: ResizePlan = NOTHING
        self._services = services
        self._seen: object = None
        self._in_force: Mapping[str, InForce] = {}
        self._told: tuple[str, str] = ("", "")

    async def resize(self, pod: core_v1.Pod, sandbox: SandboxStatus | None) -> None:
        """Bring the cgroups of what runs to what the spec asks for. Cheap when neither has changed."""
        seen = _of_interest(pod, sandbox)
        if sandbox is None or (seen == self._seen and self.plan.idle):
            return
        self._in_force = {c.name: force for c in sandbox.containers if (force := self._force(sandbox, c))}
        self.plan = self._plan(pod, sandbox)
        self._tell(pod)
        if self.plan.pending is Pending.DEFERRED:
            self._services.node.await_room(sandbox.uid, self._ring)
        self._services.node.take(self.granted(pod))
        if not (self.plan.pending or self.plan.problem):
            await self._write(pod, sandbox.uid)
        self._seen = _of_interest(pod, self._services.runtime.status(sandbox.uid))

    @property
    def restarts(self) -> dict[str, str]:
        """The containers that get their resources by a restart (resizePolicy): name -> id of the present attempt."""
        return {name: self._in_force[name].id for name in self.plan.restarts}

    def granted(self, pod: core_v1.Pod) -> core_v1.Pod:
        """The Pod with the resources its containers are to be started with."""
        return allocated(pod, self._in_force, self.plan) if self.plan.pending else pod

    def conditions(self, pod: core_v1.Pod, now: str) -> list[core_v1.PodCondition]:
        return resize_conditions(pod, self.plan, now)

    def shown(self, pod: core_v1.Pod, sandbox: SandboxStatus | None) -> dict[str, ShownResources]:
        """By container name, what each container that was started has."""
        known = {c.name: c for c in sandbox.containers} if sandbox else {}
        granted = {c.name: c for c in all_containers(self.granted(pod))}
        found: dict[str, ShownResources] = {}
        for container in (*pod.spec.initContainers, *pod.spec.containers):
            status, given = known.get(container.name), granted[container.name]
            if status is not None and isinstance(given, core_v1.Container) and _has_any(container):
                found[container.name] = shown_resources(container, given, in_force(status.id, status.labels))
        return found

    def _force(self, sandbox: SandboxStatus, container: ContainerStatus) -> InForce | None:
        running = container.state is ContainerState.RUNNING
        group = self._services.settings.cgroup_root / sandbox.cgroup / container.id
        usage = _memory_usage(group) if running else None
        return in_force(container.id, container.labels, running=running, memory_usage=usage)

    def _plan(self, pod: core_v1.Pod, sandbox: SandboxStatus) -> ResizePlan:
        settings = self._services.settings
        group = {name: text for name, text in sandbox.resources.items() if not name.startswith(NOT_RESIZED)}
        return plan_resize(
            pod,
            self._in_force,
            settings.host,
            strict=settings.enforcement is CgroupEnforcement.STRICT,
            allocatable=allocatable(settings),
            others=self._services.node.taken(without=sandbox.uid).requests,
            policy=settings.limits,
            pod_group=group,
        )

    async def _write(self, pod: core_v1.Pod, uid: str) -> None:
        """Grow the pod, change the containers, shrink the pod. What fails is tried again at the next look."""
        plan, runtime = self.plan, self._services.runtime
        try:
            if plan.grow_pod:
                await runtime.update_sandbox(uid, plan.grow_pod)
            for update in plan.updates:
                await runtime.update_container(uid, update.id, update.files, labels=update.labels)
            if plan.shrink_pod:
                await runtime.update_sandbox(uid, plan.shrink_pod)
        except RuntimeServiceError as error:
            self.plan = ResizePlan(problem=str(error))
            self._tell(pod)
            return
        if plan.updates:
            names = ", ".join(update.name for update in plan.updates)
            self._event(pod, events.NORMAL, "ResizeCompleted", f"Resources of {names} changed in place")
        if not plan.restarts:
            self.plan = NOTHING

    def _tell(self, pod: core_v1.Pod) -> None:
        """Once per news: why a resize does not happen."""
        told = (str(self.plan.pending or ""), self.plan.problem)
        if told != self._told and self.plan.problem:
            reason = f"Resize{self.plan.pending.value}" if self.plan.pending else "ResizeError"
            self._event(pod, events.WARNING, reason, self.plan.problem)
        self._told = told

    def _event(self, pod: core_v1.Pod, type_: str, reason: str, message: str) -> None:
        self._services.events.pod_event(pod, type_, reason, message)


def _of_interest(pod: core_v1.Pod, sandbox: SandboxStatus | None) -> object:
    """What a plan depends on; none of it changes while nothing is resized and nothing starts."""
    containers = tuple((c.id, c.state) for c in sandbox.containers) if sandbox else ()
    return pod.metadata.generation, containers


def _has_any(container: core_v1.Container) -> bool:
    own = container.resources
    return own is not None and any(own.limits.get(name) or own.requests.get(name) for name in RESIZABLE)


def _memory_usage(group: Path) -> int | None:
    try:
        return int((group / "memory.current").read_text())
    except OSError:  # no memory controller here
        return None
