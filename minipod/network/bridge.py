"""The bridge: the pods' switch and gateway, made and owned by the pod network. All calls block.

Everything happens in the network namespace of the thread that opened the socket.
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Interface, IPv4Network

from minipod.linux import net_sysctl
from minipod.linux.rtnetlink import (
    Link,
    RouteSocket,
    delete_address,
    delete_link,
    new_address,
    new_bridge,
    set_link,
)
from minipod.network.errors import NetworkError, cause
from minipod.network.ipam import gateway_of, mac_of
from minipod.network.routes import colliding_route, default_interface

DEFAULT_MTU = 1500
ALIAS_LIMIT = 255
"""Bytes of an interface's alias (IFALIASZ less the final NUL)."""


class Bridge:
    """The bridge `name`, which has the first address of `pods`.

    `owner` is written on it as its alias: a bridge of that name with another alias, or none, is refused. `index` and
    `mtu` are known after `ensure`; the MTU is that of the host's default route, so that no packet has to be split.
    """

    def __init__(self, route: RouteSocket, name: str, pods: IPv4Network, owner: str) -> None:
        self.name = name
        self.pods = pods
        self.index = 0
        self.mtu = DEFAULT_MTU
        self.address = IPv4Interface((gateway_of(pods), pods.prefixlen))
        self._route = route
        self._owner = owner.encode()[:ALIAS_LIMIT].decode(errors="ignore")

    def ensure(self) -> None:
        """Make the bridge, or make the one found what it should be, and let the host forward packets.

        Raises NetworkError when the name or the addresses are somebody else's.
        """
        found = self.find()
        names = {link.index: link for link in self._route.links()}
        routes = self._route.routes()
        collision = colliding_route(self.pods, routes, own=found.index if found else 0)
        if collision:
            by = names.get(collision.index)
            raise NetworkError(
                f"pod CIDR {self.pods} overlaps the host's route {collision.destination}"
                f"{f' by interface {by.name}' if by else ''}: give the node another pod CIDR"
            )
        way_out = names.get(default_interface(routes))
        self.mtu = way_out.mtu if way_out else DEFAULT_MTU
        try:
            self.index = (found or self._make()).index
            self._configure()
        except OSError as error:
            raise NetworkError(
                f"cannot set up bridge {self.name} with address {self.address}: {cause(error)}"
            ) from error
        _let_forward()

    def find(self) -> Link | None:
        """The bridge as it is, None when there is none. Raises NetworkError when the name is somebody else's."""
        link = self._route.link(self.name)
        if link is None:
            return None
        if link.kind != "bridge":
            raise NetworkError(
                f"interface {self.name} exists and is not a bridge but {link.kind or 'a physical interface'}: "
                "give the node another bridge name"
            )
        if link.alias != self._owner:
            whose = f"belongs to {link.alias!r}" if link.alias else "was not made by minipod"
            raise NetworkError(
                f"bridge {self.name} exists and {whose}: give the node another bridge name, "
                f"or remove it (ip link delete {self.name})"
            )
        return link

    def remove(self) -> None:
        """Delete the bridge; one that is not there is fine."""
        try:
            self._route.request(delete_link(self.name))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise NetworkError(f"cannot remove bridge {self.name}: {cause(error)}") from error

    def route_loopback(self, *, enabled: bool) -> None:
        """Whether packets from and to 127.0.0.0/8 may cross the bridge (route_localnet, ip-sysctl.rst)."""
        name, value = f"ipv4/conf/{self.name}/route_localnet", "1" if enabled else "0"
        try:
            if net_sysctl.read(name) != value:
                net_sysctl.write(name, value)
        except OSError as error:
            raise NetworkError(f"host ports on 127.0.0.1: {cause(error)}") from error

    def _make(self) -> Link:
        # In one datagram: a bridge is never seen without its owner's name, not even by a successor of a killed daemon.
        self._route.request(
            new_bridge(self.name, mac=mac_of(self.address.ip), mtu=self.mtu),
            set_link(self.name, alias=self._owner),
        )
        made = self.find()
        if made is None:
            raise NetworkError(f"bridge {self.name} was deleted by somebody else while it was made")
        return made

    def _configure(self) -> None:
        present = self._route.addresses(self.index)
        changes = [delete_address(self.index, other) for other in present if other != self.address]
        if self.address not in present:
            changes.append(new_address(self.index, self.address))
        # Without IPv6 no pod can announce itself as the host's router (CVE-2020-13401).
        net_sysctl.disable_ipv6(self.name)
        self._route.request(*changes, set_link(self.index, up=True, mtu=self.mtu))


def _let_forward() -> None:
    name = "ipv4/ip_forward"
    try:
        if net_sysctl.read(name) != "1":
            net_sysctl.write(name, "1")
    except OSError as error:
        raise NetworkError(
            f"pods cannot reach beyond this host: {cause(error)}; set it yourself: sysctl -w net.ipv4.ip_forward=1"
        ) from error
