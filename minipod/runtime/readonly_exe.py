"""Run the interpreter from a read-only mount of its own file.

A container can make a child execute the child's own program: `/proc/self/exe` as the command, as a script's interpreter
or as a loader. The image's code then runs with a link to the host's Python, which root could open for writing once it
is idle (CVE-2019-5736 did so to runc). The link leads through the mount the program was executed from: so that one is
made read-only, and belongs to no mount namespace in which somebody could change that.
"""

from __future__ import annotations

import os
import sys

from minipod.linux.mount import MOUNT_ATTR_RDONLY, mount_setattr, open_tree

_SELF = "/proc/self/exe"


def ensure() -> None:
    """Execute this very command again from a read-only mount, unless it already runs from one.

    For a program's first lines: descriptors that are to survive must be inheritable. Raises OSError.
    """
    if is_read_only():
        return
    tree = open_tree(_SELF)
    mount_setattr(tree, attr_set=MOUNT_ATTR_RDONLY)
    os.execve(tree, sys.orig_argv, dict(os.environ))  # noqa: S606


def is_read_only() -> bool:
    """Whether the running program's file cannot be written to through /proc/PID/exe."""
    return bool(os.statvfs(_SELF).f_flag & os.ST_RDONLY)
