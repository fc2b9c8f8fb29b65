"""rtnetlink(7): links, addresses and routes, as messages that can be sent many at a time.

The few requests a pod's network needs, in the words of linux/if_link.h and linux/rtnetlink.h; pyroute2 has the layouts.
RouteSocket sends them.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink import NETLINK_ROUTE, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, nlmsg
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    rtprotos,
    rtypes,
)
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import BRIDGE_MODE_HAIRPIN, IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from minipod.linux.netlink import Attributes, Message, NetlinkSocket, Varying, decode, message

NEW = NLM_F_CREATE | NLM_F_EXCL
RT_TABLE_MAIN, RT_TABLE_LOCAL = 254, 255
RTN_UNICAST, RTN_LOCAL = rtypes["RTN_UNICAST"], rtypes["RTN_LOCAL"]
IN6_ADDR_GEN_MODE_NONE = 1
RTEXT_FILTER_SKIP_STATS = 8

LOOPBACK_INDEX = 1
"""lo is the first link of every network namespace."""

ANY_NAME, ANY_MAC, ANY_ADDRESS = "?" * 15, "ff:ff:ff:ff:ff:ff", "255.255.255.255"
"""Room for values; that for a name is IFNAMSIZ - 1."""

NO_STATISTICS = ("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)
NO_LINK_LOCAL = ("IFLA_AF_SPEC", (("AF_INET6", (("IFLA_INET6_ADDR_GEN_MODE", IN6_ADDR_GEN_MODE_NONE),)),))
HAIRPIN = (
    "IFLA_LINKINFO",
    (
        ("IFLA_INFO_SLAVE_KIND", "bridge"),
        ("IFLA_INFO_SLAVE_DATA", (("IFLA_BRPORT_MODE", BRIDGE_MODE_HAIRPIN),)),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network interface as RTM_GETLINK shows it. `kind` is "" for a physical one; `peer` is the ifindex of a veth's
    other end, in that one's namespace."""

    index: int
    name: str
    kind: str
    master: int
    peer: int
    mtu: int
    alias: str
    up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An IPv4 route. `index` is the interface it leaves by (the first of several; 0: none), `kind` the RTN_ type."""

    destination: ipaddress.IPv4Network
    gateway: str
    index: int
    priority: int
    table: int
    kind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VethEnd:
    """One end of a veth pair to be made. `netns_fd` puts it into another namespace, `mac` is left to the kernel
    when empty, `master` is the index of a bridge."""

    name: str
    mtu: int
    mac: str = ""
    netns_fd: int | None = None
    master: int = 0


def new_veth(end: VethEnd, peer: VethEnd) -> Message:
    """RTM_NEWLINK: a veth pair, each end made where it belongs. EEXIST when a name is taken there."""
    data = (("VETH_INFO_PEER", _veth_end(peer)),)
    info = (("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data))
    attributes = (*_veth_end(end), ("IFLA_LINKINFO", info))
    return message(ifinfmsg, RTM_NEWLINK, NEW, f"RTM_NEWLINK({end.name}, kind=veth)", attributes)


def _veth_end(end: VethEnd) -> Attributes:
    # One queue each: more only matter to XDP, and every queue costs memory.
    found: Attributes = (
        ("IFLA_IFNAME", _name(end.name)),
        ("IFLA_MTU", end.mtu),
        ("IFLA_NUM_TX_QUEUES", 1),
        ("IFLA_NUM_RX_QUEUES", 1),
    )
    if end.mac:
        found += (("IFLA_ADDRESS", _mac(end.mac)),)
    if end.master:
        found += (("IFLA_MASTER", end.master),)
    if end.netns_fd is not None:
        found += (("IFLA_NET_NS_FD", Varying(0, end.netns_fd.to_bytes(4, sys.byteorder))),)
    return found


def new_bridge(name: str, *, mac: str, mtu: int) -> Message:
    """RTM_NEWLINK: a bridge that forwards at once: no spanning tree, no IGMP queries.

    EEXIST when the name is taken.
    """
    at_once = (("IFLA_BR_FORWARD_DELAY", 0), ("IFLA_BR_STP_STATE", 0), ("IFLA_BR_MCAST_SNOOPING", 0))
    attributes = (
        ("IFLA_IFNAME", _name(name)),
        ("IFLA_MTU", mtu),
        ("IFLA_ADDRESS", _mac(mac)),
        ("IFLA_LINKINFO", (("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", at_once))),
    )
    return message(ifinfmsg, RTM_NEWLINK, NEW, f"RTM_NEWLINK({name}, kind=bridge)", attributes)


def set_link(
    link: str | int,
    *,
    up: bool | None = None,
    mtu: int = 0,
    master: int = 0,
    alias: str = "",
    group: int = 0,
    link_local: bool = True,
    hairpin: bool = False,
) -> Message:
    """RTM_NEWLINK without NLM_F_CREATE: change a link given by name or index. What is left out stays as it is.

    `link_local=False` keeps IPv6 from giving it an address, `hairpin=True` (bridge ports only) lets frames go back
    out of the port they came in by, `group` is for delete_group. ENODEV when there is no such link.
    """
    attributes: Attributes = (("IFLA_IFNAME", _name(link)),) if isinstance(link, str) else ()
    if mtu:
        attributes += (("IFLA_MTU", mtu),)
    if master:
        attributes += (("IFLA_MASTER", master),)
    if alias:
        text = alias.encode()
        attributes += (("IFLA_IFALIAS", Varying("?" * len(text), text)),)
    if group:
        attributes += (("IFLA_GROUP", group),)
    if not link_local:
        attributes += (NO_LINK_LOCAL,)
    if hairpin:
        attributes += (HAIRPIN,)
    return message(
        ifinfmsg,
        RTM_NEWLINK,
        0,
        f"RTM_NEWLINK({link})",
        attributes,
        index=link if isinstance(link, int) else 0,
        flags=IFF_UP if up else 0,
        change=0 if up is None else IFF_UP,
    )


def get_link(name: str) -> Message:
    """RTM_GETLINK: one link by name, for parse_link or parse_operational. ENODEV when there is none."""
    attributes = (("IFLA_IFNAME", _name(name)), NO_STATISTICS)
    return message(ifinfmsg, RTM_GETLINK, 0, f"RTM_GETLINK({name})", attributes)


def delete_link(name: str) -> Message:
    """RTM_DELLINK by name: some 16 ms, because the kernel waits until no CPU uses the link any more."""
    return message(ifinfmsg, RTM_DELLINK, 0, f"RTM_DELLINK({name})", (("IFLA_IFNAME", _name(name)),))


def delete_group(group: int) -> Message:
    """RTM_DELLINK of all links of a group: many for the price of one. ENODEV when it has none."""
    return message(ifinfmsg, RTM_DELLINK, 0, f"RTM_DELLINK(group {group:#x})", (("IFLA_GROUP", group),))


def new_address(index: int, address: ipaddress.IPv4Interface) -> Message:
    """RTM_NEWADDR: give the link an address with its prefix and broadcast address."""
    return _address(RTM_NEWADDR, NEW, "RTM_NEWADDR", index, address)


def delete_address(index: int, address: ipaddress.IPv4Interface) -> Message:
    """RTM_DELADDR."""
    return _address(RTM_DELADDR, 0, "RTM_DELADDR", index, address)


def _address(kind: int, flags: int, verb: str, index: int, address: ipaddress.IPv4Interface) -> Message:
    network = address.network
    attributes = (
        ("IFA_LOCAL", Varying(ANY_ADDRESS, address.ip.packed)),
        ("IFA_BROADCAST", Varying(ANY_ADDRESS, network.broadcast_address.packed)),
    )
    return message(
        ifaddrmsg,
        kind,
        flags,
        f"{verb}({address}, index {index})",
        attributes,
        family=socket.AF_INET,
        prefixlen=network.prefixlen,
        index=index,
    )


def new_default_route(gateway: ipaddress.IPv4Address) -> Message:
    """RTM_NEWROUTE: 0.0.0.0/0 by way of `gateway`, in the main table."""
    return message(
        rtmsg,
        RTM_NEWROUTE,
        NEW,
        f"RTM_NEWROUTE(default via {gateway})",
        (("RTA_GATEWAY", Varying(ANY_ADDRESS, gateway.packed)),),
        family=socket.AF_INET,
        table=RT_TABLE_MAIN,
        proto=rtprotos["RTPROT_BOOT"],
        type=RTN_UNICAST,
    )


def _name(name: str) -> Varying:
    return Varying(ANY_NAME, name.encode())


def _mac(mac: str) -> Varying:
    return Varying(ANY_MAC, bytes.fromhex(mac.replace(":", "")))


class RouteSocket(NetlinkSocket):
    """rtnetlink in the network namespace of the thread that opens it."""

    def __init__(self) -> None:
        super().__init__(NETLINK_ROUTE)

    def __enter__(self) -> RouteSocket:
        return self

    def link(self, name: str) -> Link | None:
        """One link by name, None when there is none."""
        try:
            return parse_link(self.request(get_link(name))[0])
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise

    def links(self) -> list[Link]:
        every = message(ifinfmsg, RTM_GETLINK, NLM_F_DUMP, "RTM_GETLINK(all)", (NO_STATISTICS,))
        return [parse_link(found) for found in self.dump(every)]

    def addresses(self, index: int) -> list[ipaddress.IPv4Interface]:
        """The IPv4 addresses of one link."""
        every = message(ifaddrmsg, RTM_GETADDR, NLM_F_DUMP, "RTM_GETADDR(all)", family=socket.AF_INET)
        return [address for owner, address in map(parse_address, self.dump(every)) if owner == index]

    def routes(self) -> list[Route]:
        """The IPv4 routes of all tables."""
        every = message(rtmsg, RTM_GETROUTE, NLM_F_DUMP, "RTM_GETROUTE(all)", family=socket.AF_INET)
        return [parse_route(found) for found in self.dump(every)]


def parse_link(answer: bytes) -> Link:
    """An RTM_NEWLINK the kernel sent."""
    link = decode(ifinfmsg, answer)
    info = link.get_attr("IFLA_LINKINFO")
    return Link(
        index=link["index"],
        name=_text(link.get_attr("IFLA_IFNAME", "")),
        kind=info.get_attr("IFLA_INFO_KIND", "") if info else "",
        master=link.get_attr("IFLA_MASTER", 0),
        peer=link.get_attr("IFLA_LINK", 0),
        mtu=link.get_attr("IFLA_MTU", 0),
        alias=_text(link.get_attr("IFLA_IFALIAS", "")),
        up=bool(link["flags"] & IFF_UP),
    )


def parse_operational(answer: bytes) -> tuple[int, bool]:
    """(index, whether it can send) of an RTM_NEWLINK the kernel sent, in half the time parse_link takes.

    It can when it is up and has carrier, and its queue knows (IF_OPER_UP).
    """
    link = decode(_State, answer)
    return link["index"], link.get_attr("IFLA_OPERSTATE") == "UP"


class _State(nlmsg):
    """ifinfmsg with one attribute only: the 40 others pyroute2 passes over, which takes two thirds of the time."""

    fields: Any = ifinfmsg.fields
    nla_map: Any = tuple((n, *it) for n, it in enumerate(ifinfmsg.nla_map) if it[0] == "IFLA_OPERSTATE")
    state = ifinfmsg.state


def parse_address(answer: bytes) -> tuple[int, ipaddress.IPv4Interface]:
    """(index of the link, address) of an RTM_NEWADDR the kernel sent."""
    found = decode(ifaddrmsg, answer)
    address = found.get_attr("IFA_LOCAL") or found.get_attr("IFA_ADDRESS", 0)
    return found["index"], ipaddress.IPv4Interface((address, found["prefixlen"]))


def parse_route(answer: bytes) -> Route:
    """An RTM_NEWROUTE the kernel sent."""
    route = decode(rtmsg, answer)
    several = route.get_attr("RTA_MULTIPATH")
    return Route(
        destination=ipaddress.IPv4Network((route.get_attr("RTA_DST", 0), route["dst_len"])),
        gateway=route.get_attr("RTA_GATEWAY", ""),
        index=several[0]["oif"] if several else route.get_attr("RTA_OIF", 0),
        priority=route.get_attr("RTA_PRIORITY", 0),
        table=route.get_attr("RTA_TABLE", route["table"]),
        kind=route["type"],
    )


def _text(value: str | bytes) -> str:
    # pyroute2 leaves as bytes what is not UTF-8, as names and aliases of links need not be.
    return value if isinstance(value, str) else value.decode(errors="replace")
