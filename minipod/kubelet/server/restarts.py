"""Restarting containers in place: the same pod, address and volumes, new processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minipod.api import core_v1
from minipod.api.errors import bad_request
from minipod.api.pod_resources import is_sidecar
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.server.container_lookup import container_status
from minipod.kubelet.server.pod_lookup import find_worker
from minipod.kubelet.status.fates import FINAL_PHASES


def restart(workers: Iterable[PodWorker], namespace: str, name: str, container: str) -> dict[str, Any]:
    """Ask for it and say what is to be replaced: {"pod": {...}, "containers": [{"name", "containerID"}]}.

    `container` "": all that run beside one another. It has happened when each container runs with another id (one
    without an id had not run before). Raises StatusError 404 and 400.
    """
    worker = find_worker(workers, namespace, name)
    pod = worker.current_pod
    names = choose_restarts(pod, container)
    before = [{"name": one, "containerID": _id(pod, one)} for one in names]
    worker.restart(names)
    meta = pod.metadata
    return {"pod": {"namespace": namespace, "name": name, "uid": meta.uid}, "containers": before}


def choose_restarts(pod: core_v1.Pod, container: str) -> list[str]:
    """Sidecars and containers, or the one of them that is named. Raises StatusError 400 for what cannot restart."""
    name, spec = pod.metadata.name, pod.spec
    if pod.metadata.deletionTimestamp:
        raise bad_request(f"pod {name} is being deleted: its containers are not restarted")
    if pod.status.phase in FINAL_PHASES:
        raise bad_request(
            f"pod {name} has ended (phase {pod.status.phase}): its containers are not restarted; create it anew"
        )
    sidecars = [one.name for one in spec.initContainers if is_sidecar(one)]
    restartable = [*sidecars, *(one.name for one in spec.containers)]
    if not container:
        return restartable
    if container in restartable:
        return [container]
    known = f"it has {', '.join(restartable)}"
    if any(container == one.name for one in spec.initContainers):
        raise bad_request(
            f"container {container} of pod {name} is an init container, which runs once; {known}"
        )
    if any(container == one.name for one in spec.ephemeralContainers):
        raise bad_request(
            f"container {container} of pod {name} is ephemeral and is never restarted; {known}"
        )
    raise bad_request(f"container {container} is not valid for pod {name}; {known}")


def _id(pod: core_v1.Pod, container: str) -> str:
    status = container_status(pod, container)
    return (status.containerID if status else None) or ""
