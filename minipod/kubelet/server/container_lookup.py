"""Which container of a pod a request for logs, exec or attach means, and whether it can be served: pure.

The messages are those of Kubernetes' API server and kubelet, which people and tools know.
"""

from __future__ import annotations

from collections.abc import Mapping

from minipod.api import core_v1
from minipod.api.errors import bad_request
from minipod.kubelet.containers.images import ERR_IMAGE_PULL, IMAGE_PULL_BACK_OFF
from minipod.kubelet.pod_names import all_containers
from minipod.kubelet.status.records import ContainerRecord, History


def choose_container(pod: core_v1.Pod, name: str) -> str:
    """The container's name; a pod with one container needs none named. Raises StatusError 400."""
    spec, pod_name = pod.spec, pod.metadata.name
    if name:
        if all(name != container.name for container in all_containers(pod)):
            raise bad_request(f"container {name} is not valid for pod {pod_name}")
        return name
    if len(spec.containers) == 1:
        return spec.containers[0].name
    names = " ".join(container.name for container in spec.containers)
    message = f"a container name must be specified for pod {pod_name}, choose one of: [{names}]"
    if spec.initContainers:
        message += f" or one of the init containers: [{' '.join(c.name for c in spec.initContainers)}]"
    raise bad_request(message)


def container_status(pod: core_v1.Pod, name: str) -> core_v1.ContainerStatus | None:
    status = pod.status
    every = (*status.initContainerStatuses, *status.containerStatuses, *status.ephemeralContainerStatuses)
    return next((one for one in every if one.name == name), None)


def logged_attempt(
    pod: core_v1.Pod, known: Mapping[str, History], name: str, *, previous: bool
) -> ContainerRecord:
    """The attempt at a container whose log is asked for. Raises StatusError 400 where there is none.

    `pod` carries its newest status, `known` is what that status was made from.
    """
    where = f'container "{name}" in pod "{pod.metadata.name}"'
    status, history = container_status(pod, name), known.get(name)
    if status is None:
        raise bad_request(f"{where} is not available")
    if history is None:
        if previous:
            raise bad_request(f"previous terminated {where} not found")
        raise bad_request(f"{where} is waiting to start: {_why_waiting(status)}")
    waits = bool(status.state and status.state.waiting)
    if not previous:
        return history.latest
    if waits and history.latest.exited:
        return history.latest  # the next attempt is still to come: the last one is the previous one
    if history.previous is None:
        raise bad_request(f"previous terminated {where} not found")
    return history.previous


def _why_waiting(status: core_v1.ContainerStatus) -> str:
    reason = (status.state.waiting.reason if status.state and status.state.waiting else None) or ""
    if reason == ERR_IMAGE_PULL:
        return "image can't be pulled"
    if reason == IMAGE_PULL_BACK_OFF:
        return "trying and failing to pull image"
    return reason or "ContainerCreating"
