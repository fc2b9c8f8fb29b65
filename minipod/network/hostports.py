"""hostPorts as pure values: which mappings a pod needs, whether they collide, how nft is told.

Two maps of the nft table hold them, so that a mapping is one element however many there are: `hostports` for ports
that every address of the host answers for, `hostports-by-address` for those with a hostIP.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from minipod.network.errors import HostPortConflictError, NetworkError
from minipod.network.types import ANY_ADDRESS, PROTOCOLS, HostPort

LOOPBACK = IPv4Network("127.0.0.0/8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """What comes to `host_port` of the host (at `host_ip`; None: at any address) goes to the pod."""

    protocol: str
    host_ip: IPv4Address | None
    host_port: int
    pod_ip: IPv4Address
    pod_port: int

    @property
    def on_loopback(self) -> bool:
        """Whether 127.0.0.1 answers for it."""
        return self.host_ip is None or self.host_ip in LOOPBACK

    @property
    def map_name(self) -> str:
        return "hostports" if self.host_ip is None else "hostports-by-address"

    @property
    def key(self) -> str:
        """The element's key as nft writes it."""
        key = f"{self.protocol} . {self.host_port}"
        return key if self.host_ip is None else f"{self.host_ip} . {key}"

    @property
    def element(self) -> str:
        return f"{self.key} : {self.pod_ip} . {self.pod_port}"

    def __str__(self) -> str:
        return f"{self.host_ip or '*'}:{self.host_port}/{self.protocol}"


def mappings(pod_ip: IPv4Address, ports: Iterable[HostPort]) -> tuple[Mapping, ...]:
    """A pod's mappings. Raises NetworkError for a port the host cannot answer for."""
    return tuple(_mapping(pod_ip, port) for port in ports)


def _mapping(pod_ip: IPv4Address, port: HostPort) -> Mapping:
    if port.protocol not in PROTOCOLS:
        raise NetworkError(
            f"hostPort {port}: protocol {port.protocol!r}: expected one of {', '.join(PROTOCOLS)}"
        )
    for what, number in (("hostPort", port.host_port), ("containerPort", port.container_port)):
        if not 1 <= number <= 65535:
            raise NetworkError(f"hostPort {port}: {what} {number}: expected 1 to 65535")
    try:
        host_ip = None if port.host_ip in ANY_ADDRESS else IPv4Address(port.host_ip)
    except AddressValueError:
        raise NetworkError(f"hostPort {port}: hostIP {port.host_ip!r}: expected an IPv4 address") from None
    return Mapping(
        protocol=port.protocol.lower(),
        host_ip=host_ip,
        host_port=port.host_port,
        pod_ip=pod_ip,
        pod_port=port.container_port,
    )


def collide(one: Mapping, other: Mapping) -> bool:
    """Whether a packet could be meant for both."""
    return (
        one.protocol == other.protocol
        and one.host_port == other.host_port
        and (one.host_ip is None or other.host_ip is None or one.host_ip == other.host_ip)
    )


def check_conflicts(wanted: Collection[Mapping], given: Iterable[Mapping]) -> None:
    """Raises HostPortConflictError when two of `wanted`, or one of them and one given before, collide."""
    taken = list(given)
    for mapping in wanted:
        for other in taken:
            if collide(mapping, other):
                raise HostPortConflictError(
                    f"host port {mapping} is already taken by the pod with address {other.pod_ip}: "
                    "choose another hostPort or hostIP, or delete that pod"
                )
        taken.append(mapping)
