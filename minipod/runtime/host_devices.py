"""The host's device nodes as containers may have them: to use, not to change.

A bind mount or a descriptor leads to the host's own inode, and root in a container may chmod and chown what it can
reach. Through a read-only mount it cannot (EROFS), while reading and writing the device goes on as before.
"""

from __future__ import annotations

import os

from minipod.linux.mount import MOUNT_ATTR_RDONLY, mount_setattr, open_tree

NULL = "/dev/null"


def device_tree(path: str) -> int:
    """A descriptor of a detached read-only mount of one node, for move_mount(2). Raises OSError."""
    tree = open_tree(path)
    try:
        mount_setattr(tree, attr_set=MOUNT_ATTR_RDONLY)
    except OSError:
        os.close(tree)
        raise
    return tree


def open_null(flags: int) -> int:
    """A close-on-exec descriptor of /dev/null that a container may be given. Raises OSError."""
    tree = device_tree(NULL)
    try:
        return os.open(f"/proc/self/fd/{tree}", flags | os.O_CLOEXEC)
    finally:
        os.close(tree)
