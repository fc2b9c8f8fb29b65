"""Small objects to store, and the plainest decisions about them."""

from __future__ import annotations

from collections.abc import Mapping

from minipod.api import codec, core_v1, meta_v1
from minipod.storage.interface import Decide, Key, Put, Remove, Stored


def key(name: str, namespace: str = "default", resource: str = "pods") -> Key:
    return Key(resource, namespace, name)


def pod(name: str, namespace: str = "default", labels: Mapping[str, str] | None = None) -> core_v1.Pod:
    metadata = meta_v1.ObjectMeta(name=name, namespace=namespace, labels=dict(labels or {}))
    return core_v1.Pod(metadata=metadata)


def event(name: str, namespace: str = "default") -> core_v1.Event:
    metadata = meta_v1.ObjectMeta(name=name, namespace=namespace)
    return core_v1.Event(metadata=metadata, involvedObject=core_v1.ObjectReference())


def put(obj: object, *, durable: bool = False) -> Decide:
    return lambda latest: Put(obj, durable)


def labelled(name: str, value: str) -> Decide:
    """Set one label on what is there."""

    def decide(latest: Stored | None) -> Put:
        assert latest is not None
        changed = codec.copy(latest.obj)
        changed.metadata.labels = {**changed.metadata.labels, name: value}
        return Put(changed, durable=False)

    return decide


def remove(latest: Stored | None) -> Remove:
    return Remove(durable=False)
