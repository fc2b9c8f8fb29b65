"""The network's own sysctls, /proc/sys/net: those of the calling thread's network namespace."""

from __future__ import annotations

import os

ROOT = "/proc/sys/net"


def read(name: str) -> str:
    """The value of "ipv4/ip_forward"; FileNotFoundError when this kernel has no such setting."""
    with open(f"{ROOT}/{name}") as file:
        return file.read().strip()


def write(name: str, value: str) -> None:
    """Set it. Raises OSError naming file and value."""
    path = f"{ROOT}/{name}"
    try:
        # os.open, not open(): this is on the way of every pod, and buffered files cost three times as much.
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise OSError(error.errno, f"cannot write {value} to {path}: {error.strerror}") from error


def has_ipv6() -> bool:
    """Whether this kernel speaks IPv6."""
    return os.path.isdir(f"{ROOT}/ipv6/conf")


def disable_ipv6(interface: str) -> None:
    """Keep IPv6 off an interface: no addresses, no router advertisements. Nothing to do on a kernel without it."""
    try:
        write(f"ipv6/conf/{interface}/disable_ipv6", "1")
    except FileNotFoundError:
        if has_ipv6():
            raise
