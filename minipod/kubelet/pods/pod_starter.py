"""Brings up what a decision asks for: the sandbox when there is none, then the containers in it, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from minipod.kubelet import events
from minipod.kubelet.pods.actions import PodActions, Start
from minipod.kubelet.pods.alarm import Retries
from minipod.kubelet.pods.container_starter import ContainerStarter
from minipod.kubelet.pods.sandbox import PodSandbox, SandboxSetupError
from minipod.kubelet.services import Services

SYNC_RETRY_INITIAL = 0.5
SYNC_RETRY_MAXIMUM = 122.0
"""Seconds between tries at a sandbox that could not be made (mounts, network), as the kubelet waits for volumes."""


class PodStarter:
    """`retry_at` (µs): when a sandbox that could not be made is tried again."""

    def __init__(
        self,
        sandbox: PodSandbox,
        containers: ContainerStarter,
        services: Services,
        *,
        called_off: Callable[[], bool],
    ) -> None:
        """`called_off()`: the pod is ending, so nothing more is to be started."""
        self.retry_at: int | None = None
        self._sandbox = sandbox
        self._containers = containers
        self._services = services
        self._called_off = called_off
        self._retries = Retries(services.clock, initial=SYNC_RETRY_INITIAL, maximum=SYNC_RETRY_MAXIMUM)

    def wake_at(self, due: Collection[Start]) -> int | None:
        """When (µs) to try again what could not be started; only starts that are due have such a moment."""
        return (self.retry_at or self._containers.wake_at(due)) if due else None

    async def start(self, actions: PodActions) -> bool:
        """True when something got somewhere: then it is time for another decision."""
        starts = list(actions.start)
        if not starts or self._called_off():
            return False
        if self.retry_at and self._retries.failed_at <= self._services.clock() < self.retry_at:
            return False
        self.retry_at = None
        try:
            started = await self._start_in_sandbox(actions, starts)
        except SandboxSetupError as error:
            self._services.events.pod_event(self._sandbox.pod, events.WARNING, error.reason, error.message)
            self.retry_at = self._retries.failed()
            self._containers.try_again()  # what a container waits for then is the next sandbox
            return False
        self._retries.succeeded()
        return started

    async def _start_in_sandbox(self, actions: PodActions, starts: list[Start]) -> bool:
        """Containers are made while the sandbox is being connected, and started when it is."""
        if actions.create_sandbox:
            await self._sandbox.create(actions.sandbox_attempt)
        else:
            await self._sandbox.complete()
        try:
            started = await self._start(starts)
            await self._sandbox.connected()
        except SandboxSetupError:
            await self._sandbox.remove()
            raise
        return started

    async def _start(self, starts: list[Start]) -> bool:
        """Start containers side by side; True when at least one got somewhere."""
        if len(starts) == 1:
            return await self._containers.start(starts[0])
        # Every start is seen to its end: one half done and forgotten would be done twice.
        results = await asyncio.gather(*map(self._containers.start, starts), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return any(results)
