"""One pod's sandbox as this node makes it: directories, volumes, namespaces, network, shared files.

Every step can be repeated: after a daemon was killed in the middle, the next one finds the half and makes the rest.
"""

from __future__ import annotations

import asyncio
import logging

from minipod.api import core_v1
from minipod.kubelet import events
from minipod.kubelet.containers.container_config import PodContext, pod_context, sandbox_config
from minipod.kubelet.containers.io_limits import IoLimitError
from minipod.kubelet.containers.pod_files import Warnings, write_hosts, write_names
from minipod.kubelet.history.entries import Step
from minipod.kubelet.history.vocabulary import volumes_message
from minipod.kubelet.services import Services
from minipod.kubelet.volumes import manager as volume_manager
from minipod.kubelet.volumes.types import PodVolumes, VolumeError
from minipod.linux.tree import empty_tree, remove_tree
from minipod.network.pod_network import HostPort, NetworkError
from minipod.runtime.errors import RuntimeServiceError
from minipod.runtime.types import SandboxConfig

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
        self._connecting: asyncio.Task[None] | None = None
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
    def present(self) -> bool:
        """Whether anything of the pod takes up room: a sandbox, an address, shared files or volumes."""
        uid, context = self.context.uid, self.context
        return (
            self._services.runtime.status(uid) is not None
            or self._services.network.attachment(uid) is not None
            or context.shared_dir.exists()
            or (context.pod_dir.exists() and any(context.pod_dir.iterdir()))
        )

    @property
    def volumes(self) -> PodVolumes:
        """The volumes; only after `create` or `complete`."""
        assert self._volumes is not None
        return self._volumes

    async def create(self, attempt: int) -> None:
        """Make the sandbox and begin to connect it: containers may be made meanwhile, and started once `connected`.

        Raises SandboxSetupError; then nothing of it runs.
        """
        await self._set_up_volumes(fresh=True)
        config = self._config(attempt)
        began = self._services.clock()
        try:
            birth = asyncio.create_task(self._services.runtime.run_sandbox(config))
            try:
                await asyncio.sleep(0)  # the shim is asked for; what is written now costs no time
                self._write_names()
            finally:
                await birth
        except (RuntimeServiceError, OSError) as error:
            await self.remove()
            raise SandboxSetupError(
                events.FAILED_CREATE_SANDBOX, f"Failed to create pod sandbox: {error}"
            ) from error
        self._note(Step.SANDBOX, "made" if attempt == 0 else f"made anew (attempt {attempt})", began)
        self._connecting = asyncio.create_task(self._connect())

    async def complete(self) -> None:
        """Make sure that a sandbox found running has all that `create` would have given it.

        Raises SandboxSetupError.
        """
        if self._volumes is None:
            await self._set_up_volumes(fresh=False)
        if self._connecting is not None:
            return
        if not (self.context.shared_dir / "resolv.conf").exists():
            try:
                self._write_names()
            except OSError as error:
                raise SandboxSetupError(events.FAILED_CREATE_SANDBOX, str(error)) from error
        self._connecting = asyncio.create_task(self._connect())

    async def connected(self) -> None:
        """Return once the pod has its network. Raises SandboxSetupError; the sandbox is then to be removed."""
        if self._connecting is not None:
            try:
                await asyncio.shield(self._connecting)
            except Exception as error:
                if not isinstance(error, RuntimeServiceError | NetworkError | OSError):
                    log.exception("cannot connect the pod", extra={"uid": self.context.uid})
                raise SandboxSetupError(
                    events.FAILED_CREATE_SANDBOX, f"Failed to create pod sandbox: {error}"
                ) from error

    async def remove(self) -> None:
        """The sandbox with all its processes, records and addresses; volumes and logs stay."""
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
        self._ip = ""
        results = await asyncio.gather(
            self._services.network.detach(self.context.uid),
            self._services.runtime.remove_sandbox(self.context.uid),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def make_room(self) -> None:
        """What takes room on disk: layers and volumes. What tells of the pod's end stays."""
        await self.remove()
        self._volumes = None
        await self._services.runtime.removals.run(_empty, self.context)

    async def release(self) -> None:
        """What an ended pod no longer needs: its sandbox and its volumes. Its logs and its status stay.

        So does its directory, empty: by it a later daemon knows the logs of a Pod that the API no longer has.
        """
        await self.remove()
        self._volumes = None
        await self._services.runtime.removals.run(_release, self.context)

    async def destroy(self) -> None:
        """Everything, logs included: the Pod is leaving the API."""
        await self.remove()
        self._volumes = None
        await self._services.runtime.removals.run(_destroy, self.context)
        self._services.history.deleted(self.pod)

    def _config(self, attempt: int) -> SandboxConfig:
        try:
            return sandbox_config(self.pod, attempt=attempt, context=self.context, volumes=self.volumes)
        except IoLimitError as error:
            raise SandboxSetupError(
                events.FAILED_CREATE_SANDBOX, f"Failed to create pod sandbox: {error}"
            ) from error

    async def _set_up_volumes(self, *, fresh: bool) -> None:
        """`fresh`: no container uses them yet, so fsGroup may be applied to what is already in them."""
        if self.context.problem:
            raise SandboxSetupError(events.FAILED_CREATE_SANDBOX, self.context.problem)
        pod, pod_dir, settings = self.pod, self.context.pod_dir, self._services.settings
        began = self._services.clock()
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
        if fresh and (message := volumes_message(pod)):
            self._note(Step.MOUNT, message, began)

    def _write_names(self) -> None:
        context = self.context
        self._warn(write_names(self.pod, context.shared_dir, context.hostname, context.settings))

    async def _connect(self) -> None:
        context = self.context
        if not self.networked:
            began = self._services.clock()
            netns = self._services.runtime.netns_path(context.uid)
            attachment = await self._services.network.attach(context.uid, netns, host_ports(self.pod))
            self._ip = attachment.ip
            self._note(Step.NETWORK, f"connected, address {attachment.ip}", began)
        self._warn(
            write_hosts(self.pod, context.shared_dir, context.hostname, context.settings, ip=self.pod_ip)
        )

    def _note(self, step: Step, message: str, began: int) -> None:
        self._services.history.note(self.pod, step, message, began=began, ended=self._services.clock())

    def _warn(self, warnings: Warnings) -> None:
        for reason, message in warnings:
            self._services.events.pod_event(self.pod, events.WARNING, reason, message)


def _release(context: PodContext) -> None:
    """Blocks: there may be any number of files in it."""
    remove_tree(context.shared_dir)
    _empty(context)


def _empty(context: PodContext) -> None:
    if context.pod_dir.exists():
        empty_tree(context.pod_dir)


def _destroy(context: PodContext) -> None:
    """The pod's directory goes last: as long as it is there, a later daemon knows that there is something to remove."""
    remove_tree(context.log_dir)
    remove_tree(context.shared_dir)
    remove_tree(context.pod_dir)


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
