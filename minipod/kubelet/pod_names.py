"""How a pod is called where Kubernetes has its own spelling for it, and which containers it names."""

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


AnyContainer = core_v1.Container | core_v1.EphemeralContainer


def all_containers(pod: core_v1.Pod) -> list[AnyContainer]:
    """Init containers first, in the order they run, ephemeral ones last."""
    return [*pod.spec.initContainers, *pod.spec.containers, *pod.spec.ephemeralContainers]


def find_container(pod: core_v1.Pod, name: str) -> AnyContainer | None:
    """The spec of the container of this name."""
    return next((container for container in all_containers(pod) if container.name == name), None)


def container_of(pod: core_v1.Pod, name: str) -> AnyContainer:
    """The same for a container that the pod is known to have. Raises KeyError."""
    if (found := find_container(pod, name)) is None:
        raise KeyError(name)
    return found
