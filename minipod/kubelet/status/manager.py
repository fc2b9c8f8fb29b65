"""Writes pod statuses to the API: in order, the newest only, and never a status that says nothing new.

A pod's worker does not wait for the write (it is a disk sync away) except where the order matters: before a
sandbox whose records the status replaces is thrown away.
"""

from __future__ import annotations

import asyncio
import logging

from minipod.api import codec, core_v1, meta_v1
from minipod.api.errors import StatusError
from minipod.api.scheme import PODS
from minipod.client.interface import Client

log = logging.getLogger(__name__)

FIRST_RETRY = 0.5
LONGEST_RETRY = 30.0
"""Seconds between tries while the API cannot take a status (its disk is full, say)."""


class StatusManager:
    """Keeps the last status of every pod on this node and its way to the API."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._written: dict[str, bytes] = {}
        self._wanted: dict[str, tuple[core_v1.Pod, core_v1.PodStatus]] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    def set(self, pod: core_v1.Pod, status: core_v1.PodStatus) -> None:
        """Ask for `status` to be written; it replaces one that still waits."""
        uid = pod.metadata.uid or ""
        if uid not in self._writers and self._written.get(uid) == codec.encode(status):
            return
        self._wanted[uid] = (pod, status)
        if uid not in self._writers:
            self._writers[uid] = asyncio.create_task(self._write(uid), name=f"status-{pod.metadata.name}")

    async def flush(self, uid: str, *, patience: float | None = None) -> bool:
        """Return when the API holds the last status that was set, or after `patience` seconds; whether it does."""
        writer = self._writers.get(uid)
        if writer:
            await asyncio.wait({writer}, timeout=patience)
        return writer is None or writer.done()

    async def stop(self) -> None:
        """Write what is still to be written, as long as that works."""
        self._stopping = True
        await asyncio.gather(*self._writers.values(), return_exceptions=True)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._wanted.pop(uid, None)
        self._written.pop(uid, None)

    async def _write(self, uid: str) -> None:
        delay = FIRST_RETRY
        try:
            while uid in self._wanted:
                pod, status = self._wanted.pop(uid)
                try:
                    await self._write_one(pod, status)
                    delay = FIRST_RETRY
                except StatusError as error:
                    if error.code in (404, 409):
                        return  # gone, or a new pod of that name: nobody to tell
                    log.error("cannot write pod status: %s", error, extra={"pod": pod.metadata.name})
                    if self._stopping:
                        return
                    self._wanted.setdefault(uid, (pod, status))  # unless there is a newer one by now
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, LONGEST_RETRY)
        finally:
            self._writers.pop(uid, None)

    async def _write_one(self, pod: core_v1.Pod, status: core_v1.PodStatus) -> None:
        uid = pod.metadata.uid or ""
        encoded = codec.encode(status)
        if self._written.get(uid) != encoded:
            await self._client.update(PODS, _status_only(pod, status), subresource="status")
            self._written[uid] = encoded


def _status_only(pod: core_v1.Pod, status: core_v1.PodStatus) -> core_v1.Pod:
    """The kubelet is the one writer of status, so it names the object (with uid) but no resourceVersion."""
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(
            name=pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid
        ),
        spec=pod.spec,
        status=status,
    )
