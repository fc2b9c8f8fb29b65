"""Tells of processes that the kernel killed for want of memory: the node's as SystemOOM, a pod's as OOMKilling.

The kubelet's oomwatcher reads the same log. Kubernetes has no event for a container over its own limit, and a process
that is killed while its container goes on leaves no trace in any status: here both are a Warning of the Pod.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from minipod.api import core_v1, quantity
from minipod.kubelet import events
from minipod.kubelet.containers.cgroups import QOS_GROUPS
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.services import Services
from minipod.linux.kmsg import KernelLog, OomKill, oom_kill
from minipod.runtime.types import ContainerStatus, SandboxStatus

log = logging.getLogger(__name__)

PAUSE = 0.2
"""Seconds between two looks at a log that is being written to: each line by itself would wake the daemon."""
AT_ONCE = 2000
"""Records read at one look; a log that is flooded is read on after a pause."""


class OomWatcher:
    """`workers` is the kubelet's own map, by pod uid."""

    def __init__(self, services: Services, workers: Mapping[str, PodWorker]) -> None:
        self._services = services
        self._workers = workers
        self._log: KernelLog | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Read from now on; where that is not permitted, say so once."""
        try:
            self._log = KernelLog()
        except OSError as error:
            log.warning(
                "cannot read the kernel's log, so no event tells of processes out of memory: %s", error
            )
            return
        self._wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._log is not None:
            asyncio.get_running_loop().remove_reader(self._log.fd)
            self._log.close()
            self._log = None

    def tell(self, kill: OomKill) -> None:
        """One event, of the node or of a pod; kills outside pods, under others' limits, are none of ours."""
        services = self._services
        if not kill.limit:
            message = f"System OOM encountered, victim process: {kill.process}, pid: {kill.pid}"
            services.events.node_event(
                services.settings.node_name, events.WARNING, events.SYSTEM_OOM, message
            )
        uid, container_id = pod_of(kill.group, services.settings.cgroup_parent)
        worker, sandbox = self._workers.get(uid), services.runtime.status(uid)
        if worker is None:
            return
        pod = worker.current_pod
        container = sandbox.container(container_id) if sandbox else None
        services.events.pod_event(
            pod,
            events.WARNING,
            events.OOM_KILLING,
            describe(kill, sandbox, container) if sandbox else describe_late(kill, container_id),
            container=container.name if container else name_of(pod, container_id),
        )

    def _wait(self) -> None:
        assert self._log is not None
        asyncio.get_running_loop().add_reader(self._log.fd, self._readable)

    def _readable(self) -> None:
        assert self._log is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._log.fd)
        self._timer = loop.call_later(PAUSE, self._read)

    def _read(self) -> None:
        assert self._log is not None
        try:
            kills = [kill for message in self._log.messages(AT_ONCE) if (kill := oom_kill(message))]
        except OSError as error:
            log.warning("cannot read the kernel's log any more: %s", error)
            self.stop()
            return
        for kill in kills:
            self.tell(kill)
        self._wait()


def pod_of(group: str, parent: str) -> tuple[str, str]:
    """The uid of the pod and the id of the container that a cgroup belongs to; ("", "") when it is no pod's.

    `parent`: the group of all pods, which may have more levels above it than this daemon sees.
    """
    _, _, below = f"{group}/".partition(f"/{parent}/")
    levels = below.split("/")
    if levels[0] in QOS_GROUPS.values():
        levels = levels[1:]
    if not levels or not levels[0].startswith("pod"):
        return "", ""
    return levels[0].removeprefix("pod"), levels[1]


def name_of(pod: core_v1.Pod, container_id: str) -> str:
    """The name of a container of which only the Pod's status still tells; "" when that does not either."""
    status = pod.status
    for one in (
        *status.initContainerStatuses,
        *status.containerStatuses,
        *status.ephemeralContainerStatuses,
    ):
        if container_id and (one.containerID or "").endswith(container_id):
            return one.name
    return ""


def describe_late(kill: OomKill, container_id: str) -> str:
    """The same as describe(), when the pod has ended of it and its sandbox is gone before the log was read."""
    text = f"Memory cgroup out of memory: killed process {kill.process} (pid {kill.pid})"
    if container_id and container_id in kill.limit:
        return f"{text}: the container's memory limit is reached"
    return text if kill.limit else f"Out of memory: killed process {kill.process} (pid {kill.pid})"


def describe(kill: OomKill, sandbox: SandboxStatus, container: ContainerStatus | None) -> str:
    """Who was killed, by whose limit, and what becomes of the container."""
    text = f"Memory cgroup out of memory: killed process {kill.process} (pid {kill.pid}): "
    limit = ""
    if not kill.limit:
        text = f"Out of memory: killed process {kill.process} (pid {kill.pid}): "
        reached = "the machine has no memory left"
    elif container is not None and container.id in kill.limit:
        limit, reached = container.resources.get("memory.max", ""), "the container's memory limit is reached"
    elif kill.limit.endswith(sandbox.cgroup):
        limit, reached = sandbox.resources.get("memory.max", ""), "the pod's memory limit is reached"
    else:
        reached = "the memory limit of all pods together is reached"
    if limit.isdecimal():
        reached = reached.replace("limit is", f"limit of {quantity.format_binary(int(limit))} is")
    whole = container is not None and container.resources.get("memory.oom.group") == "1"
    return text + reached + ("; all of the container is killed with it" if whole else "")
