"""Which images are in use: by containers, ended ones that are kept included, and by pods that are still to start some.

The kubelet counts containers only, and pulls again what it deleted too early. An image that was imported cannot be
had again, so here those of pods that have not come to their end are in use from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from minipod.api import core_v1
from minipod.images.types import Image
from minipod.kubelet.pod_names import all_containers
from minipod.kubelet.status.fates import FINAL_PHASES
from minipod.kubelet.status.records import LABEL_IMAGE_ID, container_statuses
from minipod.runtime.types import SandboxStatus


def used_images(
    sandboxes: Iterable[SandboxStatus],
    pods: Iterable[core_v1.Pod],
    resolve: Callable[[str], Image | None],
) -> set[str]:
    """IDs. `resolve`: an image by the name that a Pod has for it."""
    used = {c.labels.get(LABEL_IMAGE_ID, "") for sandbox in sandboxes for c in sandbox.containers}
    for pod in pods:
        if pod.status.phase not in FINAL_PHASES:
            images = (resolve(container.image or "") for container in all_containers(pod))
            used |= {image.id for image in images if image}
    return used - {""}


def image_ids(pod: core_v1.Pod) -> set[str]:
    """IDs of the images that the pod's containers were made from."""
    return {one.imageID for one in container_statuses(pod) if one.imageID}


def layers_of(images: Iterable[Image], used: Iterable[str]) -> list[Path]:
    """The layers that ImageStore.remove is to leave alone."""
    ids = set(used)
    return [layer for image in images if image.id in ids for layer in image.layers]
