"""The network's vocabulary: what a pod asks for, what it got. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from minipod.linux.nftables import IDENTIFIER
from minipod.network.errors import NetworkError

INTERFACE_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,15}")
"""At most IFNAMSIZ - 1 bytes, and nothing that a path or an nft script would take for something else."""

PROTOCOLS = ("TCP", "UDP", "SCTP")
ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 (compared with, not bound to)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """The node's pod network. Two daemons that differ in all four do not meet.

    `bridge` is the name of the bridge, which the network makes and owns; `pod_cidr` an IPv4 range of /8 to /30,
    whose first address the bridge takes; `nft_table` the name of its nftables table (family inet); `state_dir` the
    directory with one file per address in use.
    """

    bridge: str = "minipod0"
    pod_cidr: str = "10.64.0.0/16"
    nft_table: str = "minipod"
    state_dir: Path = Path("/run/minipod/network")

    def __post_init__(self) -> None:
        if not INTERFACE_NAME.fullmatch(self.bridge):
            raise NetworkError(
                f"bridge {self.bridge!r}: expected an interface name of 1 to 15 letters, digits, _ . or -"
            )
        if not IDENTIFIER.fullmatch(self.nft_table):
            raise NetworkError(
                f"nftables table {self.nft_table!r}: expected a letter, then letters, digits, _ . or -"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPort:
    """One containerPort that the host answers for on `host_port`; `host_ip` "" or 0.0.0.0 means every address."""

    container_port: int
    host_port: int
    protocol: str = "TCP"
    host_ip: str = ""

    def __str__(self) -> str:
        return f"{self.host_ip or '0.0.0.0'}:{self.host_port}/{self.protocol.lower()}"  # noqa: S104


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A pod's place on the network: `interface` in its namespace, `host_interface` on the bridge."""

    uid: str
    ip: str
    prefix_len: int
    gateway: str
    mac: str
    mtu: int
    bridge: str
    host_interface: str
    host_ifindex: int
    interface: str = "eth0"
    ifindex: int
    host_ports: tuple[HostPort, ...] = ()
