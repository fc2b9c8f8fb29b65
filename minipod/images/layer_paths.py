"""Names of layer entries as paths below the layer's root. Pure.

A leading slash means the layer's root, as Docker and containerd read it (some builders write one); ".." is refused
wherever it stands.
"""

from __future__ import annotations

from typing import TypeAlias

from minipod.images.errors import InvalidImageError, UnsafeLayerError
from minipod.images.tar_header import printable

Parts: TypeAlias = tuple[bytes, ...]

DEPTH_MAX = 256
"""Directories below each other. Deep trees are slow traps for everything that walks or removes them."""
PATH_MAX = 3800
"""Bytes of a path in an image: PATH_MAX of the kernel, less room for the directories that the layer lies in."""
NAME_MAX = 255

WHITEOUT_PREFIX = b".wh."
WHITEOUT_META_PREFIX = b".wh..wh."
OPAQUE_MARKER = b".wh..wh..opq"
"""https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts"""


def split_name(name: bytes) -> Parts:
    """The components of an entry's name; none for the root itself.

    Raises UnsafeLayerError for "..", InvalidImageError for names no file can have.
    """
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise UnsafeLayerError('its name has ".." in it')
    if len(name) > NAME_MAX or b"\0" in name:  # others are within every limit
        check_path(parts)
    return parts


def check_path(parts: Parts) -> None:
    """Raise InvalidImageError for a path beyond the limits."""
    if len(parts) > DEPTH_MAX:
        raise InvalidImageError(f"more than {DEPTH_MAX} directories deep")
    if sum(map(len, parts)) + len(parts) > PATH_MAX:
        raise InvalidImageError(f"its path has more than {PATH_MAX} bytes")
    for part in parts:
        if len(part) > NAME_MAX:
            raise InvalidImageError(f"the name {printable(part)} has more than {NAME_MAX} bytes")
        if b"\0" in part:
            raise InvalidImageError(f"the name {printable(part)} has a NUL byte in it")


def split_link(target: bytes) -> Parts:
    """The components of a symbolic link's target, ".." among them."""
    return tuple(part for part in target.split(b"/") if part not in (b"", b"."))
