"""Gives every Pod that has no node yet to this one, or says in Kubernetes' words why it cannot.

The filters are plain functions from (pod, node, what is on the node) to reasons; with one node they are the whole
decision. A pod that fits nowhere is looked at again when a pod ends or shrinks, a node changes or the pod itself
changes. Of several that wait, the one with the highest priority goes first.

https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from minipod.api import codec, core_v1, timestamps
from minipod.api.errors import StatusError
from minipod.api.pod_resources import Amounts, amounts
from minipod.api.priorities import priority
from minipod.api.resource_fit import Taken, insufficient, requests
from minipod.api.scheme import NODES, PODS
from minipod.api.taints import untolerated
from minipod.client.events import EventRecorder
from minipod.client.informer import Informer
from minipod.client.interface import Client

log = logging.getLogger(__name__)

SCHEDULER_NAME = "default-scheduler"


@dataclass(slots=True)
class OnNode:
    """The pods that run or will run on one node, and what they hold of it."""

    pods: list[core_v1.Pod] = field(default_factory=list)
    taken: Taken = field(default_factory=Taken)

    def add(self, pod: core_v1.Pod, held: Amounts | None = None) -> None:
        self.pods.append(pod)
        self.taken.add(requests(pod) if held is None else held)


Filter = Callable[[core_v1.Pod, core_v1.Node, OnNode], Sequence[str]]
"""Why the pod may not go there, as Kubernetes words it (a count goes before it); none when it may."""


# -- decisions ---------------------------------------------------------------------------------------------------


def unschedulable_node(_pod: core_v1.Pod, node: core_v1.Node, _there: OnNode) -> Sequence[str]:
    return ("node(s) were unschedulable",) if node.spec.unschedulable else ()


def taint_toleration(pod: core_v1.Pod, node: core_v1.Node, _there: OnNode) -> Sequence[str]:
    """Pressure keeps new pods away, as the taints do that Kubernetes gives such a node."""
    return ("node(s) had untolerated taint(s)",) if untolerated(pod, node) else ()


def node_selector(pod: core_v1.Pod, node: core_v1.Node, _there: OnNode) -> Sequence[str]:
    labels = node.metadata.labels
    if all(labels.get(key) == value for key, value in pod.spec.nodeSelector.items()):
        return ()
    return ("node(s) didn't match Pod's node affinity/selector",)


def host_ports(pod: core_v1.Pod, _node: core_v1.Node, there: OnNode) -> Sequence[str]:
    wanted = _host_ports(pod)
    taken = [port for other in there.pods for port in _host_ports(other)] if wanted else []
    if any(_collide(a, b) for a in wanted for b in taken):
        return ("node(s) didn't have free ports for the requested pod ports",)
    return ()


def resources_fit(pod: core_v1.Pod, node: core_v1.Node, there: OnNode) -> Sequence[str]:
    """Everything of which there is too little."""
    scarce = insufficient(requests(pod), amounts(node.status.allocatable), there.taken)
    return ["Too many pods" if one.resource == "pods" else f"Insufficient {one.resource}" for one in scarce]


FILTERS: tuple[Filter, ...] = (
    unschedulable_node,
    taint_toleration,
    node_selector,
    host_ports,
    resources_fit,
)
"""The first one that finds something says why."""


def choose_node(
    pod: core_v1.Pod, nodes: Iterable[core_v1.Node], on_node: Mapping[str, OnNode]
) -> tuple[str, str]:
    """(node name, "") or ("", message). `on_node`: by node name.

    The message counts each reason over the nodes, as `kubectl describe` shows it.
    """
    nobody = OnNode()
    reasons: Counter[str] = Counter()
    total = 0
    for node in nodes:
        total += 1
        name = node.metadata.name or ""
        found = next((r for f in FILTERS if (r := f(pod, node, on_node.get(name, nobody)))), None)
        if found is None:
            return name, ""
        reasons.update(found)
    if not total:
        return "", "no nodes available to schedule pods"
    details = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return "", f"0/{total} nodes are available: {details}."


def takes_room(pod: core_v1.Pod) -> bool:
    """Whether a pod still holds what its node has (ended pods do not)."""
    return pod.status.phase not in ("Succeeded", "Failed")


def waits_for_node(pod: core_v1.Pod) -> bool:
    """Whether this scheduler has to place the pod."""
    return (
        not pod.spec.nodeName
        and not pod.metadata.deletionTimestamp
        and not pod.spec.schedulingGates
        and takes_room(pod)
        and (pod.spec.schedulerName or SCHEDULER_NAME) == SCHEDULER_NAME
    )


def _shrank(before: core_v1.Pod, pod: core_v1.Pod) -> bool:
    """Whether a resize has made room."""
    had, has = requests(before), requests(pod)
    return any(amount > has.get(name, 0) for name, amount in had.items())


def _host_ports(pod: core_v1.Pod) -> list[tuple[str, int, str]]:
    return [
        (port.protocol or "TCP", port.hostPort, port.hostIP or "0.0.0.0")  # noqa: S104 - the API's word for any
        for container in pod.spec.containers
        for port in container.ports
        if port.hostPort
    ]


def _collide(a: tuple[str, int, str], b: tuple[str, int, str]) -> bool:
    wildcard = "0.0.0.0"  # noqa: S104 - the API's word for any
    return a[:2] == b[:2] and (a[2] == b[2] or wildcard in (a[2], b[2]))


# -- acting ------------------------------------------------------------------------------------------------------


class Scheduler:
    """Watches pods and nodes and binds. Runs until cancelled."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._events = EventRecorder(client, component=SCHEDULER_NAME)
        self._pods = Informer(
            client, PODS, on_add=self._pod_added, on_update=self._pod_changed, on_delete=self._pod_gone
        )
        self._nodes = Informer(client, NODES, on_add=self._node_changed, on_update=self._node_changed)
        self._requests: dict[str, tuple[str | None, Amounts]] = {}
        """uid -> resourceVersion and what the pod of that version holds: adding up many pods has to be cheap."""
        self._assumed: dict[str, str] = {}
        """uid -> node of pods that were bound before the watch has told so: their room is taken already."""
        self._waiting: dict[str, None] = {}
        self._parked: dict[str, None] = {}
        """Pods that fit nowhere, until something changes; both keep order and are keyed by uid."""
        self._work = asyncio.Event()

    async def run(self) -> None:
        """Runs until cancelled."""
        self._events.start()
        self._nodes.start()
        self._pods.start()
        try:
            await self._nodes.synced()
            await self._pods.synced()
            await self._bind_all()
        finally:
            await self._pods.stop()
            await self._nodes.stop()
            await self._events.stop()

    def _pod_added(self, pod: core_v1.Pod) -> None:
        if waits_for_node(pod):
            self._enqueue(pod.metadata.uid or "")

    def _pod_changed(self, before: core_v1.Pod, pod: core_v1.Pod) -> None:
        uid = pod.metadata.uid or ""
        if pod.spec.nodeName:
            self._assumed.pop(uid, None)
        if waits_for_node(pod):
            if before.metadata.generation != pod.metadata.generation or uid not in self._parked:
                self._enqueue(uid)
        elif self._parked and takes_room(before) and (not takes_room(pod) or _shrank(before, pod)):
            self._retry_parked()

    def _pod_gone(self, pod: core_v1.Pod) -> None:
        for known in (self._waiting, self._parked, self._assumed, self._requests):
            known.pop(pod.metadata.uid or "", None)
        self._retry_parked()

    def _node_changed(self, *_: core_v1.Node) -> None:
        self._retry_parked()

    def _enqueue(self, uid: str) -> None:
        self._parked.pop(uid, None)
        self._waiting[uid] = None
        self._work.set()

    def _retry_parked(self) -> None:
        for uid in list(self._parked):
            self._enqueue(uid)

    async def _bind_all(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            waiting, self._waiting = self._waiting, {}
            on_node = self._on_nodes()
            for pod in sorted(self._pods.list(), key=priority, reverse=True):
                if (
                    pod.metadata.uid in waiting
                    and pod.metadata.uid not in self._assumed
                    and waits_for_node(pod)
                ):
                    await self._try_to_place(pod, on_node)

    async def _try_to_place(self, pod: core_v1.Pod, on_node: dict[str, OnNode]) -> None:
        uid = pod.metadata.uid or ""
        try:
            name, problem = choose_node(pod, self._nodes.list(), on_node)
            if problem:
                self._parked[uid] = None
                await self._report_unschedulable(pod, problem)
                return
            self._assumed[uid] = name
            on_node.setdefault(name, OnNode()).add(pod)
            await self._client.bind(pod, name)
            self._events.pod_event(
                pod, "Normal", "Scheduled", f"Successfully assigned {_full_name(pod)} to {name}"
            )
        except StatusError as error:
            self._assumed.pop(uid, None)
            newest = self._pods.get(pod.metadata.name or "", pod.metadata.namespace or "")
            if newest is not None and newest.metadata.resourceVersion != pod.metadata.resourceVersion:
                self._enqueue(uid)
            elif error.code not in (404, 409):  # of a change or an end the watch will tell
                log.warning("cannot schedule: %s", error, extra={"pod": _full_name(pod)})
                self._parked[uid] = None

    def _on_nodes(self) -> dict[str, OnNode]:
        found: dict[str, OnNode] = {}
        for pod in self._pods.list():
            name = pod.spec.nodeName or self._assumed.get(pod.metadata.uid or "")
            if name and takes_room(pod):
                found.setdefault(name, OnNode()).add(pod, self._held(pod))
        return found

    def _held(self, pod: core_v1.Pod) -> Amounts:
        uid, version = pod.metadata.uid or "", pod.metadata.resourceVersion
        known = self._requests.get(uid)
        if known is None or known[0] != version:
            known = self._requests[uid] = version, requests(pod)
        return known[1]

    async def _report_unschedulable(self, pod: core_v1.Pod, message: str) -> None:
        old = next((c for c in pod.status.conditions if c.type == "PodScheduled"), None)
        if old and (old.status, old.message) == ("False", message):
            return
        changed = codec.copy(pod)
        condition = core_v1.PodCondition(
            type="PodScheduled",
            status="False",
            reason="Unschedulable",
            message=message,
            lastTransitionTime=old.lastTransitionTime if old and old.status == "False" else timestamps.now(),
        )
        changed.status.conditions = [c for c in changed.status.conditions if c.type != "PodScheduled"]
        changed.status.conditions.append(condition)
        await self._client.update(PODS, changed, subresource="status")
        self._events.pod_event(pod, "Warning", "FailedScheduling", message)


def _full_name(pod: core_v1.Pod) -> str:
    return f"{pod.metadata.namespace}/{pod.metadata.name}"
