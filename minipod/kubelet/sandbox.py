"""The acting half of a pod worker: makes the sandbox, starts containers, and takes both away again.

Every step can be repeated: after a daemon was killed in the middle, the next one finds the half and makes the rest.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import signal

from minipod.api import core_v1
from minipod.images.types import Image
from minipod.images.users import UserLookupError
from minipod.kubelet import events, pod_files
from minipod.kubelet.actions import Start
from minipod.kubelet.backoff import MICROSECONDS, retry_delay
from minipod.kubelet.container_config import (
    CreateContainerConfigError,
    PodContext,
    container_config,
    sandbox_config,
)
from minipod.kubelet.images import ImageProblem, choose_image
from minipod.kubelet.services import Services
from minipod.kubelet.status.generate import Waiting
from minipod.kubelet.volumes.manager import PodVolumes, VolumeError, setup_volumes, teardown_pod_dir
from minipod.network.pod_network import HostPort, NetworkError
from minipod.runtime.errors import RuntimeServiceError, StartError
from minipod.runtime.types import ContainerStatus, SandboxStatus

log = logging.getLogger(__name__)

CONFIG_RETRY_INITIAL = 10.0
CONFIG_RETRY_MAXIMUM = 300.0

LABEL_STOP_SIGNAL = "minipod.io/stop-signal"


class SandboxProblem(Exception):
    """The sandbox cannot be made now. `reason` is an event reason, `message` says what is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class PodSandbox:
    """One pod's sandbox and containers, as this node makes them."""

    def __init__(self, pod: core_v1.Pod, services: Services) -> None:
        self.pod = pod
        self.uid = pod.metadata.uid or ""
        self.waiting: dict[str, Waiting] = {}
        """Containers that cannot start for a reason of their own (image, configuration), by name."""
        self._services = services
        self._volumes: PodVolumes | None = None
        self._retry: dict[str, tuple[int, int]] = {}
        """Container name -> (failures in a row, not before this µs)."""
        attachment = services.network.attachment(self.uid)
        self._ip = attachment.ip if attachment else ""

    @property
    def host_network(self) -> bool:
        return bool(self.pod.spec.hostNetwork)

    @property
    def pod_ip(self) -> str:
        if self.host_network:
            return self._services.settings.host_ip if self._services.runtime.status(self.uid) else ""
        return self._ip

    @property
    def ready(self) -> bool:
        """The sandbox has its network."""
        return self.host_network or bool(self._ip)

    @property
    def retry_at(self) -> int | None:
        return min((at for _, at in self._retry.values()), default=None)

    def forget_image_problems(self) -> None:
        for name, waiting in list(self.waiting.items()):
            if waiting.reason in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"):
                self._retry.pop(name, None)

    async def create(self, attempt: int) -> None:
        """Volumes, namespaces, network, files: all that containers need before the first one starts.

        Raises SandboxProblem and leaves nothing half-made behind.
        """
        self._volumes = None
        await self._prepare_volumes()
        try:
            await self._services.runtime.run_sandbox(
                sandbox_config(self.pod, attempt=attempt, context=self._context())
            )
            await self._ensure_network()
        except (RuntimeServiceError, NetworkError, CreateContainerConfigError, OSError) as error:
            await self.remove()
            raise SandboxProblem(
                events.FAILED_CREATE_SANDBOX, f"Failed to create pod sandbox: {error}"
            ) from error

    async def start_container(self, start: Start) -> bool:
        """Start one container. False when it has to wait; `waiting` and an event then say why."""
        failures, not_before = self._retry.get(start.name, (0, 0))
        if self._services.clock() < not_before:
            self._back_off_from_image(start.name)
            return False
        container = self._container(start.name)
        try:
            image = choose_image(container, self._services.images.resolve(container.image or ""))
            config = await self._container_config(container, image, start)
        except ImageProblem as problem:
            self._hold(start.name, failures + 1, problem.reason, problem.message)
            return False
        except (CreateContainerConfigError, UserLookupError, ValueError) as error:
            self._hold(start.name, failures + 1, "CreateContainerConfigError", str(error))
            return False
        except SandboxProblem as problem:
            self._hold(start.name, failures + 1, "ContainerCreating", problem.message, event=problem.reason)
            return False
        self.waiting.pop(start.name, None)
        self._retry.pop(start.name, None)
        self._event(
            events.NORMAL,
            events.PULLED,
            f'Container image "{container.image}" already present on machine',
            start.name,
        )
        try:
            await self._services.runtime.create_container(self.uid, config)
            self._event(events.NORMAL, events.CREATED, f"Created container {start.name}", start.name)
            status = await self._services.runtime.start_container(self.uid, config.id)
        except StartError as error:
            self._event(events.WARNING, events.FAILED, f"Error: {error.failure.message}", start.name)
            return True  # the failure is on record as an exit: the next decision counts it
        except (RuntimeServiceError, OSError) as error:
            self._hold(start.name, failures + 1, "RunContainerError", str(error))
            return False
        self._event(events.NORMAL, events.STARTED, f"Started container {start.name}", start.name)
        for warning in status.warnings:
            self._event(events.WARNING, events.CGROUP_NOT_ENFORCED, warning, start.name)
        await self._forget_old_attempts(start)
        return True

    async def ask_to_stop(self, container: ContainerStatus) -> None:
        """Send the container's stop signal to its first process."""
        number = stop_signal(container.labels.get(LABEL_STOP_SIGNAL, ""))
        await self._services.runtime.signal_container(self.uid, container.id, number)

    async def remove(self) -> None:
        """The sandbox with all its processes, records and addresses; volumes and logs stay."""
        await self._services.network.detach(self.uid)
        self._ip = ""
        await self._services.runtime.remove_sandbox(self.uid)

    async def release(self) -> None:
        """What an ended pod no longer needs: its sandbox and its volumes. Its logs and its status stay."""
        self.waiting.clear()
        self._retry.clear()
        await self.remove()
        self._volumes = None
        await asyncio.to_thread(teardown_pod_dir, self._context().pod_dir)

    async def destroy(self) -> None:
        """Everything, logs included: the Pod is leaving the API."""
        await self.release()
        await asyncio.to_thread(shutil.rmtree, self._context().log_dir, True)

    # -- parts ---------------------------------------------------------------------------------------------------

    async def _prepare_volumes(self) -> PodVolumes:
        if self._volumes is None:
            try:
                self._volumes = await asyncio.to_thread(setup_volumes, self.pod, self._context())
            except (VolumeError, OSError) as error:
                raise SandboxProblem(events.FAILED_MOUNT, str(error)) from error
        return self._volumes

    async def _ensure_network(self) -> None:
        if not self.host_network and not self._ip:
            attachment = await self._services.network.attach(
                self.uid, self._services.runtime.netns_path(self.uid), host_ports(self.pod)
            )
            self._ip = attachment.ip
        for warning in pod_files.write_pod_files(self.pod, self._context()):
            self._event(events.WARNING, events.DNS_CONFIG_FORMING, warning)

    async def _container_config(self, container: core_v1.Container, image: Image, start: Start):  # type: ignore[no-untyped-def]
        volumes = await self._prepare_volumes()
        if not self.ready:
            try:
                await self._ensure_network()
            except (NetworkError, OSError) as error:
                raise SandboxProblem(events.FAILED_CREATE_SANDBOX, str(error)) from error
        raise NotImplementedError(volumes)

    def _context(self) -> PodContext:
        raise NotImplementedError

    def _container(self, name: str) -> core_v1.Container:
        return next(c for c in (*self.pod.spec.initContainers, *self.pod.spec.containers) if c.name == name)

    async def _forget_old_attempts(self, start: Start) -> None:
        """The running attempt and the one before it are kept (lastState, logs --previous); older ones go."""
        sandbox: SandboxStatus | None = self._services.runtime.status(self.uid)
        for old in sandbox.containers if sandbox else ():
            if old.name == start.name and old.attempt < start.attempt - 1:
                await self._services.runtime.remove_container(self.uid, old.id)

    def _hold(
        self, name: str, failures: int, reason: str, message: str, *, event: str = events.FAILED
    ) -> None:
        delay = retry_delay(failures, initial=CONFIG_RETRY_INITIAL, maximum=CONFIG_RETRY_MAXIMUM)
        self._retry[name] = (failures, self._services.clock() + round(delay * MICROSECONDS))
        self.waiting[name] = Waiting(reason, message)
        self._event(events.WARNING, event, f"Error: {message}" if event == events.FAILED else message, name)

    def _back_off_from_image(self, name: str) -> None:
        """Between tries an image that failed to pull shows as ImagePullBackOff."""
        waiting = self.waiting.get(name)
        if waiting and waiting.reason == "ErrImagePull":
            image = self._container(name).image
            self.waiting[name] = Waiting(
                "ImagePullBackOff", f'Back-off pulling image "{image}": {waiting.message}'
            )
            self._event(events.NORMAL, events.BACK_OFF, f'Back-off pulling image "{image}"', name)

    def _event(self, type_: str, reason: str, message: str, container: str = "") -> None:
        self._services.events.pod_event(self.pod, type_, reason, message, container=container)


def host_ports(pod: core_v1.Pod) -> list[HostPort]:
    """The hostPorts of all containers, as the network wants them."""
    return [
        HostPort(
            container_port=port.containerPort,
            host_port=port.hostPort,
            protocol=port.protocol or "TCP",
            host_ip=port.hostIP or "",
        )
        for container in (*pod.spec.initContainers, *pod.spec.containers)
        for port in container.ports
        if port.hostPort
    ]


def stop_signal(name: str) -> int:
    """The number of an image's StopSignal ("SIGQUIT", "QUIT" or "3"); SIGTERM when there is none or it is unknown."""
    if name.isdigit():
        return int(name)
    word = name.upper().removeprefix("SIG")
    return (
        signal.Signals[f"SIG{word}"].value
        if word and f"SIG{word}" in signal.Signals.__members__
        else signal.SIGTERM
    )


def new_container_id() -> str:
    return secrets.token_hex(32)
