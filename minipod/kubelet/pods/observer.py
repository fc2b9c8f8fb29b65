"""What a pod worker sees when it looks: processes, what hooks and probes say of them, what the ended ones left to say.

Looking also sees to it that what has to watch a container watches it: its postStart hook has begun, its probes run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from minipod.api import core_v1
from minipod.kubelet.containers.container_config import PodContext
from minipod.kubelet.containers.termination_message import read_termination_message, share_of_message
from minipod.kubelet.pod_names import find_container
from minipod.kubelet.pods.health import HEALTHY, Health
from minipod.kubelet.pods.hooks import Hooks
from minipod.kubelet.prober.prober import ProbedContainer, Prober
from minipod.kubelet.services import Services
from minipod.kubelet.status.records import CONTAINER_ID_PREFIX
from minipod.runtime.types import ContainerState, ContainerStatus, SandboxStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look at a pod. `health` and `messages` (what ended containers left as a last word) are by container id."""

    sandbox: SandboxStatus | None
    health: Mapping[str, Health]
    messages: Mapping[str, str]


class Observer:
    """Owns the hooks and the probes of one pod."""

    def __init__(self, services: Services, context: PodContext, ring: Callable[[], None]) -> None:
        self.hooks = Hooks(services, context.shared_dir / "hooks", ring)
        self.prober = Prober(services, ring)
        self._services = services
        self._context = context
        self._messages: dict[str, str] = {}

    def look(self, pod: core_v1.Pod, known: core_v1.PodStatus, pod_ip: str, *, alive: bool) -> Observation:
        """`known`: the newest status, which tells what was healthy before this daemon came.

        `alive`: the pod is not ending; otherwise no hook begins any more.
        """
        sandbox = self._services.runtime.status(self._context.uid)
        containers = sandbox.containers if sandbox else ()
        running = [c for c in containers if c.state is ContainerState.RUNNING]
        self.hooks.retain({c.id for c in running})
        for container in running:
            self.hooks.post_start(pod, container, pod_ip, begin=alive)
        self.prober.sync(pod, self._probed(pod, running, known), pod_ip)
        self._read_messages(pod, containers)
        return Observation(
            sandbox=sandbox, health={c.id: self._health(c.id) for c in running}, messages=self._messages
        )

    async def stop(self) -> None:
        """Nothing is watched any more; the containers run on."""
        await self.prober.stop()
        await self.hooks.stop()

    def _health(self, id_: str) -> Health:
        health = self.prober.health(id_)
        hooked, failure = self.hooks.hooked(id_), self.hooks.failure(id_)
        if hooked and failure is None:
            return health
        return replace(health, hooked=False, unhealthy=failure or health.unhealthy)

    def _probed(
        self, pod: core_v1.Pod, running: list[ContainerStatus], known: core_v1.PodStatus
    ) -> list[ProbedContainer]:
        found = []
        for container in running:
            spec = find_container(pod, container.name)
            if spec is not None:
                found.append(
                    ProbedContainer(
                        container=spec,
                        id=container.id,
                        started_at=container.started_at,
                        hooked=self.hooks.hooked(container.id),
                        known=_known_health(known, container),
                    )
                )
        return found

    def _read_messages(self, pod: core_v1.Pod, containers: tuple[ContainerStatus, ...]) -> None:
        ended = {c.id: c for c in containers if c.exit is not None}
        for id_ in self._messages.keys() - ended.keys():
            del self._messages[id_]
        for id_ in ended.keys() - self._messages.keys():
            self._messages[id_] = self._message(pod, ended[id_])

    def _message(self, pod: core_v1.Pod, container: ContainerStatus) -> str:
        spec = find_container(pod, container.name)
        if spec is None or container.exit is None or container.failure is not None:
            return ""
        failed = container.exit.code != 0
        said = read_termination_message(self._context, spec, attempt=container.attempt, failed=failed)
        return share_of_message(pod, said)


def _known_health(known: core_v1.PodStatus, container: ContainerStatus) -> Health | None:
    """What the API says of this very container."""
    for status in (*known.initContainerStatuses, *known.containerStatuses):
        if (
            status.containerID == CONTAINER_ID_PREFIX + container.id
            and status.state
            and status.state.running
        ):
            return replace(HEALTHY, started=bool(status.started), ready=status.ready)
    return None
