"""One pod's sandbox as this node makes it: directories, volumes, namespaces, network, shared files.

Every step can be repeated: after a daemon was killed in the middle, the next one finds the half and makes the rest.
"""

from __future__ import annotations

import asyncio
import logging

from minipod.api import core_v1
from minipod.kubelet import events
from minipod.kubelet.container_config import PodContext, pod_context, sandbox_config
from minipod.kubelet.pod_files import write_pod_files
from minipod.kubelet.services import Services
from minipod.kubelet.volumes import manager as volume_manager
from minipod.kubelet.volumes.types import PodVolumes, VolumeError
from minipod.linux.tree import remove_tree
from minipod.network.pod_network import HostPort, NetworkError
from minipod.runtime.errors import RuntimeServiceError

log = logging.getLogger(__name__)


class SandboxSetupError(Exception):
    """The sandbox cannot be made now. `reason` is an event reason, `message` says what is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class PodSandbox:
    """What the containers of one pod share. `pod` is replaced when the Pod changes."""

    def __init__(self, pod: core_v1.Pod, services: Services) -> None:
        self.pod = pod
        self.context: PodContext = pod_context(pod, services.settings)
        self._services = services
        self._volumes: PodVolumes | None = None
        attachment = services.network.attachment(self.context.uid)
        self._ip = attachment.ip if attachment else ""

    @property
    def host_network(self) -> bool:
        return bool(self.pod.spec.hostNetwork)

    @property
    def pod_ip(self) -> str:
        if self.host_network:
            return self._services.settings.host_ip if self._services.runtime.status(self.context.uid) else ""
        return self._ip

    @property
    def networked(self) -> bool:
        return self.host_network or bool(self._ip)

    @property
    def volumes(self) -> PodVolumes:
        """The volumes; only after `create` or `complete`."""
        assert self._volumes is not None
        return self._volumes

    async def create(self, attempt: int) -> None:
        """All that containers need before the first one starts.

        Raises SandboxSetupError; then nothing of it runs.
        """
        uid = self.context.uid
        await self._set_up_volumes(fresh=True)
        try:
            await self._services.runtime.run_sandbox(
                sandbox_config(self.pod, attempt=attempt, context=self.context, volumes=self.volumes)
            )
            await self._connect()
        except (RuntimeServiceError, NetworkError, OSError) as error:
            await self.remove()
            raise SandboxSetupError(
                events.FAILED_CREATE_SANDBOX, f"Failed to create pod sandbox: {error}"
            ) from error
        log.debug("sandbox made", extra={"uid": uid, "attempt": attempt})

    async def complete(self) -> None:
        """Make sure that a sandbox found running has all that `create` would have given it.

        Raises SandboxSetupError.
        """
        if self._volumes is None:
            await self._set_up_volumes(fresh=False)
        if self.networked and (self.context.etc_dir / "resolv.conf").exists():
            return
        try:
            await self._connect()
        except (RuntimeServiceError, NetworkError, OSError) as error:
            raise SandboxSetupError(
                events.FAILED_CREATE_SANDBOX, f"Failed to set up the pod's network: {error}"
            ) from error

    async def remove(self) -> None:
        """The sandbox with all its processes, records and addresses; volumes and logs stay."""
        self._ip = ""
        results = await asyncio.gather(
            self._services.network.detach(self.context.uid),
            self._services.runtime.remove_sandbox(self.context.uid),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def release(self) -> None:
        """What an ended pod no longer needs: its sandbox and its volumes. Its logs and its status stay."""
        await self.remove()
        self._volumes = None
        if self.context.pod_dir.exists():
            await asyncio.to_thread(remove_tree, self.context.pod_dir)

    async def destroy(self) -> None:
        """Everything, logs included: the Pod is leaving the API."""
        await self.release()
        if self.context.log_dir.exists():
            await asyncio.to_thread(remove_tree, self.context.log_dir)

    async def _set_up_volumes(self, *, fresh: bool) -> None:
        """`fresh`: no container uses them yet, so fsGroup may be applied to what is already in them."""
        if self.context.problem:
            raise SandboxSetupError(events.FAILED_CREATE_SANDBOX, self.context.problem)
        pod, pod_dir, settings = self.pod, self.context.pod_dir, self._services.settings
        try:
            slow = volume_manager.blocks(pod, pod_dir)
            volume_manager.make_pod_directories(pod_dir)
            if slow:
                self._volumes = await asyncio.to_thread(
                    volume_manager.set_up_volumes, pod, pod_dir, settings, change_group=fresh
                )
            else:
                self._volumes = volume_manager.set_up_volumes(pod, pod_dir, settings, change_group=fresh)
        except (VolumeError, OSError) as error:
            raise SandboxSetupError(events.FAILED_MOUNT, str(error)) from error

    async def _connect(self) -> None:
        if not self.networked:
            uid = self.context.uid
            attachment = await self._services.network.attach(
                uid, self._services.runtime.netns_path(uid), host_ports(self.pod)
            )
            self._ip = attachment.ip
        warnings = write_pod_files(
            self.pod,
            self.context.etc_dir,
            self.context.hostname,
            ip=self.pod_ip,
            settings=self._services.settings,
        )
        for reason, message in warnings:
            self._services.events.pod_event(self.pod, events.WARNING, reason, message)


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
