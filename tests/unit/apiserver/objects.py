"""Objects for the API server's tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minipod.api import codec, core_v1, meta_v1


def pod(
    name: str = "web",
    namespace: str = "default",
    *,
    labels: Mapping[str, str] | None = None,
    node: str | None = None,
    finalizers: list[str] | None = None,
    containers: tuple[str, ...] = ("app",),
    init_containers: tuple[str, ...] = (),
) -> core_v1.Pod:
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(
            name=name, namespace=namespace, labels=dict(labels or {}), finalizers=finalizers or []
        ),
        spec=core_v1.PodSpec(
            nodeName=node,
            containers=[core_v1.Container(name=c, image="minipod/base") for c in containers],
            initContainers=[core_v1.Container(name=c, image="minipod/base") for c in init_containers],
        ),
    )


def node(name: str = "here") -> core_v1.Node:
    ready = core_v1.NodeCondition(type="Ready", status="True")
    return core_v1.Node(
        metadata=meta_v1.ObjectMeta(name=name), status=core_v1.NodeStatus(conditions=[ready])
    )


def namespace(name: str) -> core_v1.Namespace:
    return core_v1.Namespace(metadata=meta_v1.ObjectMeta(name=name))


def event(name: str, about: str = "web", namespace: str = "default") -> core_v1.Event:
    return core_v1.Event(
        metadata=meta_v1.ObjectMeta(name=name, namespace=namespace),
        involvedObject=core_v1.ObjectReference(
            apiVersion="v1", kind="Pod", name=about, namespace=namespace, uid="1-2"
        ),
        type="Normal",
        reason="Started",
        message="Started container app",
        source=core_v1.EventSource(component="kubelet", host="here"),
        firstTimestamp="2026-01-02T03:04:05Z",
        lastTimestamp="2026-01-02T03:04:05Z",
        count=1,
    )


def changed(change: Callable[[Any], None]) -> Callable[[Any], Any]:
    """For Registry.update: a copy with `change` made to it, locked to the version it was made from."""

    def make(old: Any) -> Any:
        new = codec.copy(old)
        change(new)
        return new

    return make
