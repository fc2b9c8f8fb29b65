"""What can go wrong with images.

    ImageError                      everything below; str() is one sentence for the user
    ├── InvalidReferenceError       a name that is no image name (kubelet's InvalidImageName); a ValueError too
    ├── ImageNotFoundError          no image of that name here
    ├── InvalidImageError           an archive, blob or rootfs that is damaged, lies or is unsafe: refused whole
    │   └── UnsafeLayerError        a layer entry that would land outside its layer
    ├── UnsupportedImageError       well-formed, but for another platform or in a form we do not read
    └── ImageStoreError             the store's own disk failed: full, read-only, ...
    UserLookupError                 a user or group that the image does not know

Whatever is raised, the store is as it was before.
"""

from __future__ import annotations


class ImageError(Exception):
    """Base of all errors of the image store. str() is one sentence, fit to show to the user."""


class InvalidReferenceError(ImageError, ValueError):
    """A name that cannot be an image's."""


class ImageNotFoundError(ImageError):
    """No image has this name, digest or ID. str() is the whole sentence; `name` is what was asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(f'image "{name}" not found')
        self.name = name


class InvalidImageError(ImageError):
    """The bytes are not what they claim to be. Nothing of them was kept."""


class UnsafeLayerError(InvalidImageError):
    """A layer entry that would land outside its layer."""


class UnsupportedImageError(ImageError):
    """A sound image that this machine cannot run or this version cannot read."""


class ImageStoreError(ImageError):
    """The store's own directory failed. __cause__ is the OSError."""


class UserLookupError(Exception):
    """A user or group that is not in the image's etc/passwd or etc/group."""
