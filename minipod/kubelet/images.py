"""imagePullPolicy against the local store: which image a container runs, or why it has to wait.

Pulling from a registry comes later; until then whatever needs one ends in ErrImagePull, with the way out.
"""

from __future__ import annotations

from dataclasses import dataclass

from minipod.api import core_v1
from minipod.images.types import Image


@dataclass(frozen=True, slots=True)
class ImageProblem(Exception):
    """An image that cannot be used now. `reason` is the container's waiting reason."""

    reason: str
    message: str


def choose_image(container: core_v1.Container, present: Image | None) -> Image:
    """The image to run the container from.

    Raises ImageProblem: ErrImageNeverPull where the policy forbids pulling, ErrImagePull where pulling is needed.
    """
    policy = container.imagePullPolicy or "IfNotPresent"
    name = container.image or ""
    if present is not None and policy != "Always":
        return present
    if policy == "Never":
        raise ImageProblem(
            "ErrImageNeverPull", f'Container image "{name}" is not present with pull policy of Never'
        )
    if present is not None:
        hint = "set imagePullPolicy: IfNotPresent to use the local image of that name"
    else:
        hint = "import it with `minipod image import FILE`"
    raise ImageProblem(
        "ErrImagePull",
        f'failed to pull image "{name}": this version of minipod does not pull from registries; {hint}',
    )
