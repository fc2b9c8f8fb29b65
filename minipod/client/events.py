"""Events: what a component tells users it did, with repeated ones counted instead of repeated.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from minipod.api import codec, core_v1, meta_v1, timestamps
from minipod.api.errors import StatusError
from minipod.api.scheme import EVENTS
from minipod.client.event_budget import EventBudget
from minipod.client.interface import Client

NORMAL = "Normal"
WARNING = "Warning"

OnEvent = Callable[[core_v1.Pod, str, str, str, str], None]

MAX_REMEMBERED = 4096
"""How many distinct events are remembered for counting; the oldest is forgotten first."""

MAX_MESSAGE = 4096
"""Characters of a message; what a hook's handler or an error quotes from a Pod can be a megabyte."""

MAX_QUEUED = 10_000
"""How many Events may wait for a slow disk, as when many pods start at once; what comes then is only logged."""


@dataclass(frozen=True, slots=True)
class _Key:
    uid: str
    field_path: str
    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class _Pending:
    reference: core_v1.ObjectReference
    type: str
    reason: str
    message: str

    @property
    def key(self) -> _Key:
        about = self.reference
        return _Key(about.uid or "", about.fieldPath or "", self.type, self.reason, self.message)


class EventRecorder:
    """Writes Events in the background and in order; a caller never waits, a write that fails is only logged."""

    def __init__(
        self, client: Client, *, component: str, host: str = "", on_event: OnEvent | None = None
    ) -> None:
        """`component` is who speaks ("kubelet", "default-scheduler"), `host` the node it speaks from, if any.

        `on_event` is called at once with every event about a pod: pod, type, reason, message, container (or "").
        """
        self._on_event = on_event
        self._client = client
        self._source = core_v1.EventSource(component=component, host=host or None)
        self._log = logging.getLogger(f"minipod.events.{component}")
        self._known: OrderedDict[_Key, core_v1.Event] = OrderedDict()
        self._queue: asyncio.Queue[_Pending] = asyncio.Queue()
        self._budget = EventBudget()
        self._quiet: str | None = None
        """The object of which it was said last that it has too many Events."""
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._writer = asyncio.create_task(self._write_all(), name="event-writer")

    async def stop(self) -> None:
        """Write what is still queued, then end."""
        if self._writer and not self._writer.done():
            await self._queue.join()
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
        message = _bounded(message)
        fields = {"pod": f"{reference.namespace}/{reference.name}", "container": container, "reason": reason}
        if self._may_write(reference.uid or "", fields):
            self._log.log(logging.WARNING if type_ == WARNING else logging.INFO, message, extra=fields)
            self._write_soon(_Pending(reference, type_, reason, message))
        if self._on_event is not None:
            self._on_event(pod, type_, reason, message, container)

    def node_event(self, node_name: str, type_: str, reason: str, message: str) -> None:
        """Report something about the node; its events live in the namespace `default`."""
        reference = core_v1.ObjectReference(apiVersion="v1", kind="Node", name=node_name, uid=node_name)
        message = _bounded(message)
        fields = {"node": node_name, "reason": reason}
        # Pods can make the kernel kill without end: what else there is to say of the node has room of its own.
        if self._may_write(f"{node_name} {reason}", fields):
            self._log.info(message, extra=fields)
            self._write_soon(_Pending(reference, type_, reason, message))

    def _may_write(self, about: str, fields: dict[str, str]) -> bool:
        """Told once in a row that an object (`about` names it) has had its share."""
        if self._budget.spend(about):
            return True
        if self._quiet != about:
            self._quiet = about
            self._log.warning("too many events: not all of them are written", extra=fields)
        return False

    def _write_soon(self, pending: _Pending) -> None:
        if self._queue.qsize() < MAX_QUEUED:
            self._queue.put_nowait(pending)

    async def _write_all(self) -> None:
        while True:
            pending = await self._queue.get()
            try:
                await self._write(pending)
            except StatusError as error:
                self._log.warning("cannot write event: %s", error, extra={"reason": pending.reason})
            finally:
                self._queue.task_done()

    async def _write(self, pending: _Pending) -> None:
        known = self._known.pop(pending.key, None)
        if known is None or not await self._count_up(pending.key, known):
            self._known[pending.key] = await self._client.create(EVENTS, self._new(pending))
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    async def _count_up(self, key: _Key, known: core_v1.Event) -> bool:
        """False when the event is no longer there (it has expired)."""
        event = codec.copy(known)
        event.count = (event.count or 1) + 1
        event.lastTimestamp = timestamps.now()
        event.metadata.resourceVersion = None
        try:
            self._known[key] = await self._client.update(EVENTS, event)
        except StatusError as error:
            if error.code != 404:
                raise
            return False
        return True

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
            reportingComponent=self._source.component or "",
            reportingInstance=self._source.host or "",
            firstTimestamp=now,
            lastTimestamp=now,
            count=1,
        )


def _bounded(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def _container_path(pod: core_v1.Pod, name: str) -> str:
    kind = "initContainers" if any(c.name == name for c in pod.spec.initContainers) else "containers"
    return f"spec.{kind}{{{name}}}"
