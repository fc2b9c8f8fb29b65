"""Which address does the next pod get: pure rules over one IPv4 range.

Addresses go round: the search starts after the one given last, so that a freed address rests as long as possible
before it is somebody else's. The first address is the bridge's, network and broadcast address are nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from minipod.network.errors import AddressesExhaustedError, NetworkError

WIDEST, NARROWEST = 8, 30
MAC_PREFIX = b"\x0a\x58"
"""Locally administered; what CNI plugins put before the IPv4 address."""


def parse_pool(text: str) -> IPv4Network:
    """A pod CIDR. Raises NetworkError for anything but a private piece of IPv4 of /8 to /30, written canonically."""
    try:
        network = IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise NetworkError(
            f"pod CIDR {text!r}: expected an IPv4 range such as 10.64.0.0/16: {error}"
        ) from None
    if not WIDEST <= network.prefixlen <= NARROWEST:
        raise NetworkError(f"pod CIDR {text}: expected a prefix length of {WIDEST} to {NARROWEST}")
    if text != str(network):
        raise NetworkError(f"pod CIDR {text}: has host bits set, expected {network}")
    if network.is_loopback or network.is_multicast or network.network_address.is_unspecified:
        raise NetworkError(
            f"pod CIDR {text}: no host on this range can be reached, choose one such as 10.64.0.0/16"
        )
    return network


def gateway_of(network: IPv4Network) -> IPv4Address:
    """The bridge's address: the first of the range."""
    return network.network_address + 1


def mac_of(address: IPv4Address) -> str:
    """The MAC of a pod follows from its address, so whoever remembers an earlier owner's is not wrong."""
    return (MAC_PREFIX + address.packed).hex(":")


@dataclass(slots=True)
class AddressPool:
    """The addresses of one range and which of them are in use."""

    network: IPv4Network
    last: IPv4Address | None = None
    """Where the search goes on."""
    _taken: set[int] = field(default_factory=set)

    @property
    def capacity(self) -> int:
        """How many pods there can be."""
        return self.network.num_addresses - 3

    @property
    def free(self) -> int:
        return self.capacity - len(self._taken)

    def usable(self, address: IPv4Address) -> bool:
        """Whether the address may be a pod's at all."""
        return self._first <= int(address) <= self._final

    def is_taken(self, address: IPv4Address) -> bool:
        return int(address) in self._taken

    def allocate(self) -> IPv4Address:
        """Take the next free address. Raises AddressesExhaustedError."""
        if self.free <= 0:
            raise AddressesExhaustedError(
                f"all {self.capacity} pod addresses of {self.network} are in use: delete pods, "
                "or give the node a wider pod CIDR"
            )
        candidate = int(self.last) + 1 if self.last else self._first
        while True:
            if not self._first <= candidate <= self._final:
                candidate = self._first
            if candidate not in self._taken:
                break
            candidate += 1
        self.last = IPv4Address(candidate)
        self._taken.add(candidate)
        return self.last

    def claim(self, address: IPv4Address) -> None:
        """Take a certain address, as found on record. Raises NetworkError when it is not a pod's or taken."""
        if not self.usable(address) or self.is_taken(address):
            raise NetworkError(
                f"address {address} is already in use or outside the pod addresses of {self.network}"
            )
        self._taken.add(int(address))

    def release(self, address: IPv4Address) -> None:
        """Give an address back; a free one stays free."""
        self._taken.discard(int(address))

    @property
    def _first(self) -> int:
        return int(self.network.network_address) + 2

    @property
    def _final(self) -> int:
        return int(self.network.broadcast_address) - 1
