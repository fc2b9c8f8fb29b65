"""Events: what the kubelet tells users it did, with repeated ones counted instead of repeated.

Reasons are Kubernetes' own words (pkg/kubelet/events), so that people and tools recognise them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass

from minipod.api import core_v1, meta_v1
from minipod.api import timestamps
from minipod.api.errors import StatusError
from minipod.api.scheme import EVENTS
from minipod.client.interface import Client

log = logging.getLogger(__name__)

NORMAL = "Normal"
WARNING = "Warning"

CREATED = "Created"
STARTED = "Started"
FAILED = "Failed"
KILLING = "Killing"
BACK_OFF = "BackOff"
PULLED = "Pulled"
ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
FAILED_MOUNT = "FailedMount"
FAILED_CREATE_SANDBOX = "FailedCreatePodSandBox"
SANDBOX_CHANGED = "SandboxChanged"
DEADLINE_EXCEEDED = "DeadlineExceeded"
NODE_AFFINITY = "NodeAffinity"
SYSCTL_FORBIDDEN = "SysctlForbidden"
CGROUP_NOT_ENFORCED = "CgroupNotEnforced"
DNS_CONFIG_FORMING = "DNSConfigForming"

MAX_REMEMBERED = 4096
"""How many distinct events are remembered for counting; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class _Key:
    uid: str
    field_path: str
    type: str
    reason: str
    message: str


class EventRecorder:
    """Writes Events in the background and in order; a caller never waits, a failing write is only logged."""

    def __init__(self, client: Client, node_name: str) -> None:
        self._client = client
        self._source = core_v1.EventSource(component="kubelet", host=node_name)
        self._known: OrderedDict[_Key, core_v1.Event] = OrderedDict()
        self._queue: asyncio.Queue[_Pending] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._writer = asyncio.create_task(self._write_all(), name="event-writer")

    async def stop(self) -> None:
        """Write what is still queued, then end."""
        await self._queue.join()
        if self._writer:
            self._writer.cancel()

    def pod_event(
        self, pod: core_v1.Pod, type_: str, reason: str, message: str, *, container: str = ""
    ) -> None:
        """Report something about a pod, or about one of its containers."""
        reference = core_v1.ObjectReference(
            apiVersion="v1",
            kind="Pod",
            name=pod.metadata.name,
            namespace=pod.metadata.namespace,
            uid=pod.metadata.uid,
            resourceVersion=pod.metadata.resourceVersion,
            fieldPath=_container_path(pod, container) if container else None,
        )
        log.info(
            message,
            extra={
                "reason": reason,
                "pod": f"{pod.metadata.namespace}/{pod.metadata.name}",
                "container": container,
            },
        )
        self._queue.put_nowait(_Pending(reference, type_, reason, message))

    def node_event(self, node_name: str, type_: str, reason: str, message: str) -> None:
        reference = core_v1.ObjectReference(apiVersion="v1", kind="Node", name=node_name, uid=node_name)
        self._queue.put_nowait(_Pending(reference, type_, reason, message))

    async def _write_all(self) -> None:
        while True:
            pending = await self._queue.get()
            try:
                await self._write(pending)
            except StatusError as error:
                log.warning("cannot write event: %s", error, extra={"reason": pending.reason})
            finally:
                self._queue.task_done()

    async def _write(self, pending: _Pending) -> None:
        reference = pending.reference
        key = _Key(
            reference.uid or "", reference.fieldPath or "", pending.type, pending.reason, pending.message
        )
        known = self._known.pop(key, None)
        if known is not None:
            known.count = (known.count or 1) + 1
            known.lastTimestamp = timestamps.now()
            known.metadata.resourceVersion = None
            try:
                await self._client.update(EVENTS, known)
                self._known[key] = known
                return
            except StatusError as error:
                if error.code != 404:
                    raise
        event = self._new(pending)
        await self._client.create(EVENTS, event)
        self._known[key] = event
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def _new(self, pending: _Pending) -> core_v1.Event:
        now = timestamps.now()
        return core_v1.Event(
            metadata=meta_v1.ObjectMeta(
                name=f"{pending.reference.name}.{time.time_ns():016x}",
                namespace=pending.reference.namespace or "default",
            ),
            involvedObject=pending.reference,
            type=pending.type,
            reason=pending.reason,
            message=pending.message,
            source=self._source,
            reportingComponent="kubelet",
            reportingInstance=self._source.host or "",
            firstTimestamp=now,
            lastTimestamp=now,
            count=1,
        )


@dataclass(frozen=True, slots=True)
class _Pending:
    reference: core_v1.ObjectReference
    type: str
    reason: str
    message: str


def _container_path(pod: core_v1.Pod, name: str) -> str:
    kind = "initContainers" if any(c.name == name for c in pod.spec.initContainers) else "containers"
    return f"spec.{kind}{{{name}}}"
