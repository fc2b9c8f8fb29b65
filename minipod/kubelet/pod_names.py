"""How a pod is called where Kubernetes has its own spelling for it."""

from __future__ import annotations

from minipod.api import core_v1


def full_name(pod: core_v1.Pod) -> str:
    """NAME_NAMESPACE(UID), as the kubelet's messages name pods."""
    meta = pod.metadata
    return f"{meta.name}_{meta.namespace}({meta.uid})"


def log_directory_name(pod: core_v1.Pod) -> str:
    """NAMESPACE_NAME_UID, the directory of the pod's logs, as every log shipper expects it."""
    meta = pod.metadata
    return f"{meta.namespace}_{meta.name}_{meta.uid}"


def all_containers(pod: core_v1.Pod) -> list[core_v1.Container]:
    """Init containers first, in the order they run."""
    return [*pod.spec.initContainers, *pod.spec.containers]
