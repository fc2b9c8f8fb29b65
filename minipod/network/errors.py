"""What can go wrong between a pod and its network.

    NetworkError
    ├── AddressesExhaustedError   every address of the pod CIDR is in use
    └── HostPortConflictError     two pods (or one pod twice) want the same port of the host

The message names the interface, address, file or kernel call, and the way out.
"""

from __future__ import annotations


class NetworkError(Exception):
    """The pod's network cannot be made, changed or removed."""


class AddressesExhaustedError(NetworkError):
    """No address of the pod CIDR is free."""


class HostPortConflictError(NetworkError):
    """A port of the host is already given to a pod."""


def cause(error: OSError) -> str:
    """An OSError in words: "File exists: /run/x" rather than "[Errno 17] File exists: '/run/x'"."""
    said = error.strerror or str(error)
    return f"{said}: {error.filename}" if error.filename else said
