"""Sockets that a service manager opened before this process was there: sd_listen_fds(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

FIRST = 3
"""SD_LISTEN_FDS_START."""


def inherited_sockets(
    *, environ: MutableMapping[str, str] = os.environ, pid: int | None = None, first: int = FIRST
) -> list[socket.socket]:
    """Take them over: close-on-exec from now on, and gone from the environment: no child takes them for its own.

    Raises OSError for a descriptor that is no socket.
    """
    for_pid = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if for_pid != str(os.getpid() if pid is None else pid) or not count.isdecimal():
        return []
    found = []
    for fd in range(first, first + int(count)):
        os.set_inheritable(fd, False)
        found.append(socket.socket(fileno=fd))
    return found
