"""Which pod of this node a request means."""

from __future__ import annotations

from collections.abc import Iterable

from minipod.api.errors import not_found
from minipod.api.scheme import PODS
from minipod.kubelet.pods.pod_worker import PodWorker


def find_worker(workers: Iterable[PodWorker], namespace: str, name: str) -> PodWorker:
    """The worker of the newest pod of this name: one that was deleted at once may still be ending.

    `workers` in the order in which they came. Raises StatusError 404.
    """
    for worker in reversed(list(workers)):
        meta = worker.pod.metadata
        if (meta.namespace, meta.name) == (namespace, name):
            return worker
    raise not_found(PODS, name)
