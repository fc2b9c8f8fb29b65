"""The pod network: one bridge, one veth pair and one address per pod, hostPorts, and the way out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from minipod.network.errors import AddressesExhaustedError, HostPortConflictError, NetworkError
from minipod.network.types import Attachment, HostPort, NetworkConfig

__all__ = [
    "AddressesExhaustedError",
    "Attachment",
    "HostPort",
    "HostPortConflictError",
    "NetworkConfig",
    "NetworkError",
    "PodNetwork",
]


class PodNetwork:
    """The node's pod network, in the network namespace this process is in when `start` is called."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config

    async def start(self) -> None:
        """Make the bridge, the addresses' book and the nft table, or take over what an earlier daemon left.

        Idempotent. Raises NetworkError.
        """
        raise NotImplementedError

    async def stop(self) -> None:
        """Close sockets and threads; pods keep their network."""
        raise NotImplementedError

    async def attach(self, uid: str, netns_path: Path, ports: Sequence[HostPort] = ()) -> Attachment:
        """Give the network namespace at `netns_path` (/proc/PID/ns/net) eth0, an address and a default route.

        A pod that had an address keeps it. Raises NetworkError and leaves nothing half-made.
        """
        raise NotImplementedError

    async def detach(self, uid: str) -> None:
        """Take a pod off the network and free its address. Idempotent; unknown uids are fine."""
        raise NotImplementedError

    def attachment(self, uid: str) -> Attachment | None:
        """A pod's attachment, from memory."""
        raise NotImplementedError

    async def retain(self, uids: Collection[str]) -> None:
        """Detach every pod that is not among `uids`."""
        raise NotImplementedError

    async def destroy(self) -> None:
        """Remove bridge, veths, nft table and state; works without `start`. Idempotent."""
        raise NotImplementedError
