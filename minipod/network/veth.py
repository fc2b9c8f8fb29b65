"""veth pairs: a pod's eth0 in its network namespace, the other end on the bridge. All calls block.

What these cost the kernel decides the shape: making and configuring a pair takes 1 ms; deleting one takes 16 ms, in
which no other interface can change, however many go at once; taking one down takes 0.2 ms.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from minipod.linux import net_sysctl
from minipod.linux.netlink import Message
from minipod.linux.netns import is_own_netns, run_in_netns
from minipod.linux.rtnetlink import (
    LOOPBACK_INDEX,
    Link,
    RouteSocket,
    VethEnd,
    delete_group,
    delete_link,
    get_link,
    new_address,
    new_default_route,
    new_veth,
    parse_operational,
    set_link,
)
from minipod.network.bridge import Bridge
from minipod.network.errors import NetworkError, cause
from minipod.network.ipam import mac_of

POD_INTERFACE = "eth0"
PREFIX = "mp"
CARRIER_TIMEOUT = 5.0
CARRIER_PAUSE = 0.0005
ONE_REQUEST = 50
"""Messages per datagram: their acknowledgements must fit the socket's receive buffer."""


def veth_name(bridge: str, uid: str) -> str:
    """The name of a pod's interface on the host. Two nodes on one machine may run pods of the same uid."""
    return PREFIX + hashlib.sha256(f"{bridge}\0{uid}".encode()).hexdigest()[:11]


def dying_group(bridge: str) -> int:
    """The link group (31 bits, not 0) in which this bridge's cut off veths wait to be deleted together."""
    return int.from_bytes(hashlib.sha256(bridge.encode()).digest()[:4], "big") >> 1 | 1


class VethPairs:
    """The veth pairs of one bridge."""

    def __init__(self, route: RouteSocket, bridge: Bridge) -> None:
        self._route = route
        self._bridge = bridge
        self._group = dying_group(bridge.name)
        self._ipv6 = net_sysctl.has_ipv6()
        self._default_route = new_default_route(bridge.address.ip)

    def on_bridge(self) -> list[Link]:
        """The veths on the bridge that have names of ours."""
        return [link for link in self.all() if link.master == self._bridge.index]

    def all(self) -> list[Link]:
        """Every veth with a name of ours, another bridge's as well."""
        return [link for link in self._route.links() if link.kind == "veth" and link.name.startswith(PREFIX)]

    def connect(self, name: str, netns: Path, address: IPv4Address, alias: str) -> tuple[int, int]:
        """Put eth0 with `address` into the network namespace and `name` on the bridge; returns their indices.

        `name`'s is first. It comes up last: if it is up, the pod's end is complete. Raises NetworkError and leaves
        nothing.
        """
        try:
            netns_fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NetworkError(
                f"cannot open the pod's network namespace {netns}: {error.strerror}"
            ) from error
        try:
            if is_own_netns(netns_fd):
                raise NetworkError(f"{netns} is the host's network namespace: expected one of the pod's own")
            return self._connect(name, netns_fd, address, alias)
        except OSError as error:
            self._delete(name)
            raise NetworkError(f"cannot attach {name} with address {address}: {cause(error)}") from error
        finally:
            os.close(netns_fd)

    def _connect(self, name: str, netns_fd: int, address: IPv4Address, alias: str) -> tuple[int, int]:
        pair = new_veth(
            VethEnd(name=name, mtu=self._bridge.mtu, master=self._bridge.index),
            VethEnd(name=POD_INTERFACE, mtu=self._bridge.mtu, mac=mac_of(address), netns_fd=netns_fd),
        )
        try:
            self._route.request(pair)
        except FileExistsError:
            # Left by an earlier sandbox of this pod; its end in that sandbox's namespace goes with it.
            self._delete(name)
            self._route.request(pair)
        inside, eth0 = run_in_netns(netns_fd, _open_inside)
        with inside:
            inside.request(
                set_link(LOOPBACK_INDEX, up=True),
                new_address(eth0, IPv4Interface((address, self._bridge.pods.prefixlen))),
                set_link(POD_INTERFACE, up=True),
                self._default_route,
            )
            # Two messages: within one, the kernel takes the link up before it hears of no link-local address.
            prepare = set_link(name, alias=alias, link_local=not self._ipv6, hairpin=True)
            self._route.request(prepare, set_link(name, up=True))
            # The bridge too: it has no carrier while it has no pods.
            host, _ = _operational(self._route, name, self._bridge.name)
            _operational(inside, POD_INTERFACE)
        return host, eth0

    def reconnect(self, link: Link) -> None:
        """Put a pod's veth back on the bridge, if it is not there (the bridge was deleted and made anew)."""
        if link.master != self._bridge.index:
            self._route.request(set_link(link.index, master=self._bridge.index))

    def cut_off(self, names: Sequence[str]) -> None:
        """Take the host's ends down: no packet passes any more. The pairs die with their namespaces, or by `sweep`.

        Unknown names are fine.
        """
        for start in range(0, len(names), ONE_REQUEST):
            chunk = names[start : start + ONE_REQUEST]
            self._tolerant(*(set_link(name, up=False, group=self._group) for name in chunk))

    def sweep(self) -> None:
        """Delete all pairs that were cut off and are still there, in one go."""
        self._tolerant(delete_group(self._group))

    def _delete(self, name: str) -> None:
        self._tolerant(delete_link(name))

    def _tolerant(self, *requests: Message) -> None:
        try:
            self._route.request(*requests)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise NetworkError(f"cannot remove a pod's interface: {cause(error)}") from error


def _open_inside() -> tuple[RouteSocket, int]:
    """A socket in the pod's namespace, and the index of eth0 there."""
    # Without IPv6 on eth0 no pod can make itself another one's router.
    net_sysctl.disable_ipv6(POD_INTERFACE)
    return RouteSocket(), socket.if_nametoindex(POD_INTERFACE)


def _operational(route: RouteSocket, *names: str) -> list[int]:
    """The links' indices, once they can send: before that they drop what they get, and a lost SYN costs a second.

    Carrier reaches a link's queue by a kernel worker. Linux 6.8 makes RTM_GETLINK wait for it; before, it is asked
    again, a few times at most.
    """
    requests = [get_link(name) for name in names]
    deadline = time.monotonic() + CARRIER_TIMEOUT
    while True:
        found = [parse_operational(answer) for answer in route.request(*requests)]
        if all(operational for _, operational in found):
            return [index for index, _ in found]
        if time.monotonic() > deadline:
            late = ", ".join(name for name, (_, up) in zip(names, found, strict=True) if not up)
            raise TimeoutError(errno.ETIMEDOUT, f"no carrier on {late} after {CARRIER_TIMEOUT:g} s")
        time.sleep(CARRIER_PAUSE)
