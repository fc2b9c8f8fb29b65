"""What is left to do for a pod when none of its processes runs any more."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from minipod.api import core_v1
from minipod.api.errors import StatusError
from minipod.api.scheme import PODS
from minipod.kubelet.pods.sandbox import PodSandbox
from minipod.kubelet.services import Services

LAST_WORD_PATIENCE = 5.0
"""Seconds a deletion waits for the pod's last status to be written."""

EVICTED_PATIENCE = 1.0
"""Seconds until what an evicted pod has written is deleted although its last status could not be."""


class End(StrEnum):
    """Why all of a pod's processes are to end."""

    NONE = "none"
    COMPLETED = "completed"
    """By itself, or because the kubelet failed it: the Pod stays in the API with its last status."""
    SHUTDOWN = "shutdown"
    """The node shuts down: the Pod stays and starts again with the next daemon."""
    DELETION = "deletion"


class Finisher:
    """`report(terminal)` computes the pod's status and hands it to the writer."""

    def __init__(self, services: Services, sandbox: PodSandbox, *, report: Callable[[bool], object]) -> None:
        self._services = services
        self._sandbox = sandbox
        self._report = report

    async def finish(self, pod: core_v1.Pod, end: End, *, gone: bool, evicted: bool = False) -> None:
        """Can be repeated after an error. Raises StatusError.

        `gone`: the API does not have the Pod any more; `evicted`: the node needs its room.
        """
        match end:
            case End.DELETION:
                await self._remove(pod, gone=gone)
            case End.SHUTDOWN:
                await self._cease()
            case _:
                await self._complete(evicted=evicted)

    async def _complete(self, *, evicted: bool) -> None:
        """Put the end on record, let go of the rest. An evicted pod's end is on file already, if need be."""
        statuses, uid = self._services.statuses, self._sandbox.context.uid
        self._report(True)
        if evicted and not await statuses.flush(uid, patience=EVICTED_PATIENCE):
            # The disk may be too full to take the status, and what the pod has written be what fills it.
            await self._sandbox.make_room()
        await statuses.flush(uid)
        await self._sandbox.release()

    async def _cease(self) -> None:
        uid = self._sandbox.context.uid
        if self._services.runtime.status(uid) is not None:
            self._report(False)
            await self._services.statuses.flush(uid)
        await self._sandbox.remove()

    async def _remove(self, pod: core_v1.Pod, *, gone: bool) -> None:
        uid = self._sandbox.context.uid
        if not gone:
            self._report(True)
            # A disk too full to take the status must not keep the pod that filled it.
            await self._services.statuses.flush(uid, patience=LAST_WORD_PATIENCE)
        await self._sandbox.destroy()
        self._services.statuses.forget(uid)
        if not gone:
            await self._delete_from_api(pod)

    async def _delete_from_api(self, pod: core_v1.Pod) -> None:
        meta = pod.metadata
        try:
            await self._services.client.delete(
                PODS, meta.name or "", meta.namespace or "", grace_period_seconds=0, uid=meta.uid or ""
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise
