"""Whether an object may be stored: Kubernetes' rules in Kubernetes' words.

`validate` judges a new object, `validate_update` and `validate_status_update` a change. All expect defaults to be set
and return every mistake found; `errors.invalid` makes the API's answer of them. Rules that Kubernetes leaves to the
node, but that nothing could make work (NUL in a path, a host IP that is none), are judged here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from minipod.api import core_v1
from minipod.api.field_errors import ErrorReason, FieldError
from minipod.api.validation import cluster, pod, pod_subresources, pod_update

__all__ = [
    "ErrorReason",
    "FieldError",
    "validate",
    "validate_ephemeral_containers_update",
    "validate_resize",
    "validate_status_update",
    "validate_update",
]


def validate(obj: Any) -> list[FieldError]:
    """What is wrong with a new object of a served kind; [] when it may be stored (and for other kinds)."""
    judge = _CREATE.get(type(obj))
    return list(judge(obj)) if judge is not None else []


def validate_update(new: Any, old: Any) -> list[FieldError]:
    """What is wrong with replacing `old` by `new`, their status apart."""
    judge = _UPDATE.get(type(new))
    return list(judge(new, old)) if judge is not None else []


def validate_status_update(new: Any, old: Any) -> list[FieldError]:
    """What is wrong with replacing the status of `old` by that of `new`."""
    judge = _STATUS.get(type(new))
    return list(judge(new, old)) if judge is not None else []


def validate_ephemeral_containers_update(new: core_v1.Pod, old: core_v1.Pod) -> list[FieldError]:
    """What is wrong with replacing the ephemeral containers of `old` by those of `new`, the same otherwise."""
    return list(pod_subresources.ephemeral_containers_update(new, old))


def validate_resize(new: core_v1.Pod, old: core_v1.Pod) -> list[FieldError]:
    """What is wrong with the resources of `new`, which has the containers of `old` and is the same otherwise."""
    return list(pod_subresources.resize(new, old))


_CREATE: dict[type, Callable[[Any], Iterator[FieldError]]] = {
    core_v1.Pod: pod.pod_create,
    core_v1.Namespace: cluster.namespace_create,
    core_v1.Node: cluster.node_create,
    core_v1.Event: cluster.event_create,
}
_UPDATE: dict[type, Callable[[Any, Any], Iterator[FieldError]]] = {
    core_v1.Pod: pod_update.pod_update,
    core_v1.Namespace: cluster.namespace_update,
    core_v1.Node: cluster.node_update,
    core_v1.Event: cluster.event_update,
}
_STATUS: dict[type, Callable[[Any, Any], Iterator[FieldError]]] = {core_v1.Pod: pod_update.pod_status_update}
