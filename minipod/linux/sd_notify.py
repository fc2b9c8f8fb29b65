"""Telling a service manager how this process is: sd_notify(3), and the watchdog of sd_watchdog_enabled(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"


def status(text: str) -> str:
    """A line for `systemctl status`."""
    return "STATUS=" + text.replace("\n", " ")


def extend_timeout(seconds: float) -> str:
    """Start or stop may take this long from now on."""
    return f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}"


def notify(*states: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send `KEY=value` lines in one datagram; False when nobody wants to hear them. Raises OSError."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address[0] == "@":
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto("\n".join(states).encode(), address)
    return True


def watchdog_seconds(*, environ: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """How long this process may be silent before it is taken for hung; None: as long as it likes."""
    for_pid = environ.get("WATCHDOG_PID", "")
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    if for_pid and for_pid != str(os.getpid() if pid is None else pid):
        return None
    return int(microseconds) / 1_000_000
