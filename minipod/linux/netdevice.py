"""netdevice(7): the one ioctl that a new network namespace needs before anybody speaks netlink to it."""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_REQUEST = "16sH14x"


def bring_up(interface: str) -> None:
    """Set an interface of the caller's network namespace up (SIOCSIFFLAGS)."""
    name = interface.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack(_REQUEST, name, 0))
        flags: int = struct.unpack(_REQUEST, answer)[1]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack(_REQUEST, name, flags | _IFF_UP))
