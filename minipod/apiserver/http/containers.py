"""Which container of which pod on which node a log, exec or attach is about."""

from __future__ import annotations

from dataclasses import dataclass

from minipod.api import core_v1, errors
from minipod.api.scheme import PODS
from minipod.apiserver.http.call import Call


@dataclass(frozen=True, slots=True)
class ContainerRef:
    pod: core_v1.Pod
    container: str

    @property
    def node(self) -> str:
        """ "" while the pod is on none."""
        return self.pod.spec.nodeName or ""


def find(call: Call) -> ContainerRef:
    """The pod's only container, unless the query names one. Raises StatusError 404 and 400."""
    pod: core_v1.Pod = call.registry.get(PODS, call.info.name, call.namespace).obj
    return ContainerRef(pod, choose_container(pod, call.info.one("container")))


def choose_container(pod: core_v1.Pod, name: str) -> str:
    """Raises StatusError 400."""
    spec = pod.spec
    containers = [c.name for c in spec.containers]
    init_containers = [c.name for c in spec.initContainers]
    if name:
        if name in (*containers, *init_containers, *(c.name for c in spec.ephemeralContainers)):
            return name
        raise errors.bad_request(f"container {name} is not valid for pod {pod.metadata.name}")
    if len(containers) == 1:
        return containers[0]
    message = f"a container name must be specified for pod {pod.metadata.name}, choose one of: [{' '.join(containers)}]"
    if init_containers:
        message += f" or one of the init containers: [{' '.join(init_containers)}]"
    raise errors.bad_request(message)
