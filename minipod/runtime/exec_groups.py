"""A cgroup for each exec, below its container's: closing the exec then ends all of it, whatever it has become.

A child that calls setsid leaves the process group, but not the cgroup. What an exec leaves behind when it ends by
itself may live on, as with containerd, and its group with it. Joining a child group works also where a container has
handed its own controllers to groups below (a service manager does), which the container's group then takes no process.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from minipod.linux.cgroup2 import cgroup

_PREFIX = "minipod-exec-"
_TRIES = 1000
"""A privileged container can make groups of any name beside ours."""
_SWEPT = 2
"""Groups looked at again per exec that ends: each leaves one behind at most, so they do not pile up."""


class ExecGroups:
    """The groups of one container's execs."""

    def __init__(self, leaf: Path) -> None:
        self._leaf = leaf
        self._count = 0
        self._left: deque[Path] = deque()

    def make(self) -> Path:
        """A new group. Raises OSError."""
        for _ in range(_TRIES - 1):
            try:
                return self._make_next()
            except FileExistsError:
                continue
        return self._make_next()

    def ended(self, group: Path) -> None:
        """The exec has ended: remove its group once nothing lives there, and those of earlier execs."""
        self._left.append(group)
        for _ in range(min(_SWEPT, len(self._left))):
            # The newest first, which is most often empty; one that is not takes its turn behind the others.
            last = self._left.pop()
            if not cgroup.remove_empty(last):
                self._left.appendleft(last)

    def _make_next(self) -> Path:
        self._count += 1
        group = self._leaf / f"{_PREFIX}{self._count}"
        os.mkdir(group)
        return group
