"""imagePullPolicy against the local store: which image a container runs, or why it has to wait.

Pulling from a registry comes later; until then an image that is not here ends in ErrImagePull, with the way out.
One that is here is used whatever the policy, for Always is also what Kubernetes puts where no policy and no tag is
given; who writes Always is told when the Pod is created (api.support).
https://kubernetes.io/docs/concepts/containers/images/#image-pull-policy
"""

from __future__ import annotations

from minipod.images import reference
from minipod.images.errors import InvalidReferenceError
from minipod.images.types import Image
from minipod.kubelet import events
from minipod.kubelet.pod_names import AnyContainer

ERR_IMAGE_PULL = "ErrImagePull"
IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
INVALID_IMAGE_NAME = "InvalidImageName"

IMAGE_REASONS = frozenset({ERR_IMAGE_PULL, IMAGE_PULL_BACK_OFF, ERR_IMAGE_NEVER_PULL, INVALID_IMAGE_NAME})


class ImageUnavailableError(Exception):
    """An image that cannot be used now. `reason` is the container's waiting reason, `event` that of the event."""

    def __init__(self, reason: str, message: str, *, event: str, event_message: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.event = event
        self.event_message = event_message or message


def choose_image(container: AnyContainer, present: Image | None) -> Image:
    """The image to run the container from; `present` is what the store has under that name.

    Raises ImageUnavailableError: InvalidImageName; ErrImageNeverPull where the policy forbids pulling; ErrImagePull
    where pulling would be needed.
    """
    name = container.image or ""
    if present is not None:
        return present
    try:
        reference.parse(name)
    except InvalidReferenceError as error:
        message = f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": {error}'
        raise ImageUnavailableError(INVALID_IMAGE_NAME, message, event=events.INSPECT_FAILED) from error
    if container.imagePullPolicy == "Never":
        message = f'Container image "{name}" is not present with pull policy of Never'
        raise ImageUnavailableError(ERR_IMAGE_NEVER_PULL, message, event=events.ERR_IMAGE_NEVER_PULL)
    message = (
        f'failed to pull image "{name}": this version of minipod does not pull from registries; '
        "import it with `minipod image import FILE`"
    )
    raise ImageUnavailableError(
        ERR_IMAGE_PULL,
        message,
        event=events.FAILED,
        event_message=f'Failed to pull image "{name}": {message}',
    )


def pulled_message(container: AnyContainer) -> str:
    """What the event Pulled says of an image that was here."""
    return f'Container image "{container.image}" already present on machine'
