"""The verbs on containers of sandboxes that exist: what the daemon remembers of each, and what its shim is asked.

Sandboxes are made and taken away in sandboxes.py; service.py is where callers come in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from minipod.runtime.channel import (
    Attach,
    CreateContainer,
    Exec,
    KillContainer,
    Message,
    RemoveContainer,
    SignalContainer,
    StartContainer,
    StreamsOpened,
    UpdateContainer,
)
from minipod.runtime.errors import ProtocolError, RuntimeServiceError
from minipod.runtime.sandboxes import Sandboxes
from minipod.runtime.streams import ProcessStreams, ShimStreams
from minipod.runtime.types import ContainerConfig, ContainerStatus, ExecConfig


class Containers:
    """`on_change(uid)` after a change that no shim tells of. Methods raise RuntimeServiceError; see RuntimeService."""

    def __init__(self, sandboxes: Sandboxes, on_change: Callable[[str], None]) -> None:
        self._sandboxes = sandboxes
        self._on_change = on_change

    async def create(self, uid: str, config: ContainerConfig) -> ContainerStatus:
        handle = self._sandboxes.get(uid)
        link = handle.living()
        if any(config.rootfs.upper == layers.upper for layers in handle.rootfs.values()):
            raise RuntimeServiceError(f"container {config.name}: its id or writable layer is taken")
        if config.rootfs.upper.exists():
            # A writable layer starts empty; one of this name can only be left from before a crash or a reboot. What the
            # caller has laid beside it is new.
            await self._sandboxes.remove_layers([config.rootfs], others=False)
        handle.rootfs[config.id] = config.rootfs
        try:
            await link.request(CreateContainer(config))
        except RuntimeServiceError:
            if handle.status.container(config.id) is None:
                del handle.rootfs[config.id]
            raise
        return handle.container(config.id)

    async def start(self, uid: str, container_id: str) -> ContainerStatus:
        handle = self._sandboxes.get(uid)
        handle.container(container_id)
        await handle.living().request(StartContainer(container_id))
        return handle.container(container_id)

    async def signal(self, uid: str, container_id: str, signum: int) -> None:
        await self._ask(uid, container_id, SignalContainer(container_id, int(signum)))

    async def kill(self, uid: str, container_id: str) -> None:
        await self._ask(uid, container_id, KillContainer(container_id))

    async def remove(self, uid: str, container_id: str) -> None:
        handle = self._sandboxes.handles.get(uid)
        if handle is None or handle.status.container(container_id) is None:
            return
        if handle.link is not None:
            await handle.link.request(RemoveContainer(container_id))
        else:
            handle.forget_container(container_id)
            handle.directory.remove_container(container_id)
            self._on_change(uid)
        layers = handle.rootfs.pop(container_id, None)
        if layers is not None:
            await self._sandboxes.remove_layers([layers])

    async def update(
        self, uid: str, container_id: str, files: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        handle = self._sandboxes.get(uid)
        handle.container(container_id)
        await handle.living().request(UpdateContainer(container_id, files, labels))

    async def exec(self, uid: str, container_id: str, config: ExecConfig) -> ProcessStreams:
        return await self._open_streams(uid, container_id, Exec(container_id, config))

    async def attach(self, uid: str, container_id: str, stdin: bool) -> ProcessStreams:
        return await self._open_streams(uid, container_id, Attach(container_id, stdin))

    async def _ask(self, uid: str, container_id: str, message: Message) -> None:
        """Something that is already so when the container has ended."""
        handle = self._sandboxes.get(uid)
        handle.container(container_id)
        if handle.link is not None:
            await handle.link.request(message)

    async def _open_streams(self, uid: str, container_id: str, message: Message) -> ProcessStreams:
        handle = self._sandboxes.get(uid)
        handle.container(container_id)
        link = handle.living()
        received = await link.request(message)
        if not isinstance(received.message, StreamsOpened):
            raise ProtocolError(f"expected StreamsOpened, got {type(received.message).__name__}")
        fds = dict(zip(received.message.roles, received.fds, strict=True))
        return ShimStreams(link, received.message.streams_id, fds)
