"""Stops containers of one pod beside whatever else happens to it: stopping.py says what is next, this does it.

Nothing here waits: a step is taken, and the worker looks again when a process ends, a hook ends or a moment comes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from minipod.api import core_v1
from minipod.kubelet.pod_names import find_container
from minipod.kubelet.pods.hooks import Hooks
from minipod.kubelet.pods.stopping import Hook, Step, Stop, begun_by, next_step, stop_order
from minipod.kubelet.pods.termination import stop_deadline, stop_signal
from minipod.kubelet.services import Services
from minipod.kubelet.status.records import LABEL_STOP_SIGNAL
from minipod.runtime.types import ContainerState, ContainerStatus


class Stopper:
    """The stops under way, by container id."""

    def __init__(self, services: Services, uid: str, hooks: Hooks) -> None:
        self._services = services
        self._uid = uid
        self._hooks = hooks
        self._stops: dict[str, Stop] = {}

    @property
    def ids(self) -> Collection[str]:
        """The containers being stopped."""
        return self._stops.keys()

    def begin(self, pod: core_v1.Pod, container: ContainerStatus, grace: int | None = None) -> None:
        """Stop one container; once is enough. `grace`: seconds where it is not the pod's."""
        if container.id not in self._stops:
            self._stops[container.id] = self._stop(pod, container, grace=grace)

    def begin_all(self, pod: core_v1.Pod) -> list[ContainerStatus]:
        """Stop all that run: the pod ends. Returns those of which that is news; their grace period begins now."""
        order = stop_order(pod)
        fresh = []
        for container in self.running():
            known = self._stops.get(container.id) or self._stop(pod, container)
            if not known.of_pod:
                fresh.append(container)
                self._stops[container.id] = replace(
                    known,
                    began=self._services.clock(),
                    grace=None,
                    after=order.get(container.name, frozenset()),
                    of_pod=True,
                )
        return fresh

    def running(self) -> list[ContainerStatus]:
        status = self._services.runtime.status(self._uid)
        return [c for c in status.containers if c.state is ContainerState.RUNNING] if status else []

    async def advance(self, pod: core_v1.Pod, *, gone: bool, limit: float | None, pod_ip: str) -> int | None:
        """Take every step that is due; returns when (µs) the next one will be, None: when something happens."""
        running = {c.id: c for c in self.running()}
        names = {c.name for c in running.values()}
        for id_ in self._stops.keys() - running.keys():
            del self._stops[id_]
            self._hooks.forget(id_)
        moments = []
        for id_ in list(self._stops):
            at = await self._take_steps(pod, running[id_], names, gone=gone, limit=limit, pod_ip=pod_ip)
            if at is not None:
                moments.append(at)
        return min(moments, default=None)

    async def _take_steps(
        self,
        pod: core_v1.Pod,
        container: ContainerStatus,
        running: Collection[str],
        *,
        gone: bool,
        limit: float | None,
        pod_ip: str,
    ) -> int | None:
        runtime, id_ = self._services.runtime, container.id
        while True:
            stop = self._stops[id_]
            if stop.hook is Hook.RUNNING and self._hooks.pre_stop_over(id_):
                stop = replace(stop, hook=Hook.OVER)
            now = self._services.clock()
            stop = begun_by(stop, now)
            end = stop_deadline(pod, stop, gone=gone, limit=limit)
            following = next_step(stop, now=now, end=end, running=running)
            match following.step:
                case Step.RUN_HOOK:
                    self._hooks.pre_stop(pod, container, pod_ip, until=end)
                    stop = replace(stop, hook=Hook.RUNNING)
                case Step.SIGNAL:
                    self._hooks.forget(id_)
                    name = container.labels.get(LABEL_STOP_SIGNAL, "")
                    await runtime.signal_container(self._uid, id_, stop_signal(name))
                    stop = replace(stop, signalled_at=now)
                case Step.KILL:
                    self._hooks.forget(id_)
                    await runtime.kill_container(self._uid, id_)
                    stop = replace(stop, killed=True)
                case Step.WAIT:
                    self._stops[id_] = stop
                    return following.at
            self._stops[id_] = stop

    def _stop(self, pod: core_v1.Pod, container: ContainerStatus, *, grace: int | None = None) -> Stop:
        spec = find_container(pod, container.name)
        hooked = spec is not None and spec.lifecycle is not None and spec.lifecycle.preStop is not None
        return Stop(
            id=container.id,
            name=container.name,
            began=self._services.clock(),
            grace=grace,
            hook=Hook.DUE if hooked else Hook.NONE,
        )
