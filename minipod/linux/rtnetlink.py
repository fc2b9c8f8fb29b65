"""rtnetlink(7): links, addresses and routes, as messages that can be sent many at a time.

Written for the few requests a pod's network needs, on the standard library: pyroute2 does all of rtnetlink but costs
110 ms and 11 MB at start and about 4 ms more for every pod. The functions build messages (linux/if_link.h,
linux/rtnetlink.h have the layouts); RouteSocket sends them.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass

from minipod.linux.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    NetlinkSocket,
    attribute,
    attributes,
    nested,
    string,
    u8,
    u32,
)

NETLINK_ROUTE = 0
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO, IFLA_IFALIAS = (
    1,
    3,
    4,
    5,
    10,
    18,
    20,
)
IFLA_OPERSTATE = 16
IFLA_AF_SPEC, IFLA_GROUP, IFLA_NET_NS_FD, IFLA_EXT_MASK = 26, 27, 28, 29
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
VETH_INFO_PEER = 1
IFLA_BR_FORWARD_DELAY, IFLA_BR_STP_STATE, IFLA_BR_MCAST_SNOOPING = 1, 5, 23
IFLA_BRPORT_MODE = 4
IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE = 8, 1
RTEXT_FILTER_SKIP_STATS = 8
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_MULTIPATH, RTA_TABLE = 1, 4, 5, 6, 9, 15
RT_TABLE_MAIN, RT_TABLE_LOCAL = 254, 255
RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, RTN_LOCAL = 3, 0, 1, 2

IFF_UP = 0x1
IF_OPER_UP = 6
"""Operational state: up, with carrier, and its queue runs (linux/if.h)."""
LOOPBACK_INDEX = 1
"""lo is the first link of every network namespace."""

IFINFOMSG = struct.Struct("=BxHiII")
IFADDRMSG = struct.Struct("=BBBBI")
RTMSG = struct.Struct("=BBBBBBBBI")

NO_LINK_LOCAL = nested(
    IFLA_AF_SPEC, nested(socket.AF_INET6, u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE))
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
    mac: str
    alias: str
    up: bool
    operational: bool


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
    info = nested(
        IFLA_LINKINFO,
        string(IFLA_INFO_KIND, "veth"),
        nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, IFINFOMSG.pack(0, 0, 0, 0, 0) + _veth_end(peer))),
    )
    body = IFINFOMSG.pack(0, 0, 0, 0, 0) + _veth_end(end) + info
    return Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"RTM_NEWLINK({end.name}, kind=veth)")


def _veth_end(end: VethEnd) -> bytes:
    # One queue each: more only matter to XDP, and every queue costs memory.
    parts = [string(IFLA_IFNAME, end.name), u32(IFLA_MTU, end.mtu)]
    parts += [u32(IFLA_NUM_TX_QUEUES, 1), u32(IFLA_NUM_RX_QUEUES, 1)]
    if end.mac:
        parts.append(attribute(IFLA_ADDRESS, mac_bytes(end.mac)))
    if end.master:
        parts.append(u32(IFLA_MASTER, end.master))
    if end.netns_fd is not None:
        parts.append(u32(IFLA_NET_NS_FD, end.netns_fd))
    return b"".join(parts)


def new_bridge(name: str, *, mac: str, mtu: int) -> Message:
    """RTM_NEWLINK: a bridge that forwards at once: no spanning tree, no IGMP queries.

    EEXIST when the name is taken.
    """
    data = nested(
        IFLA_INFO_DATA,
        u32(IFLA_BR_FORWARD_DELAY, 0),
        u32(IFLA_BR_STP_STATE, 0),
        u8(IFLA_BR_MCAST_SNOOPING, 0),
    )
    body = (
        IFINFOMSG.pack(0, 0, 0, 0, 0)
        + string(IFLA_IFNAME, name)
        + u32(IFLA_MTU, mtu)
        + attribute(IFLA_ADDRESS, mac_bytes(mac))
        + nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, "bridge"), data)
    )
    return Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"RTM_NEWLINK({name}, kind=bridge)")


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
    flags = IFF_UP if up else 0
    parts = [IFINFOMSG.pack(0, 0, link if isinstance(link, int) else 0, flags, 0 if up is None else IFF_UP)]
    if isinstance(link, str):
        parts.append(string(IFLA_IFNAME, link))
    if mtu:
        parts.append(u32(IFLA_MTU, mtu))
    if master:
        parts.append(u32(IFLA_MASTER, master))
    if alias:
        parts.append(string(IFLA_IFALIAS, alias))
    if group:
        parts.append(u32(IFLA_GROUP, group))
    if not link_local:
        parts.append(NO_LINK_LOCAL)
    if hairpin:
        mode = nested(IFLA_INFO_SLAVE_DATA, u8(IFLA_BRPORT_MODE, 1))
        parts.append(nested(IFLA_LINKINFO, string(IFLA_INFO_SLAVE_KIND, "bridge"), mode))
    return Message(RTM_NEWLINK, 0, b"".join(parts), f"RTM_NEWLINK({link})")


def get_link(name: str) -> Message:
    """RTM_GETLINK: one link by name; parse the answer with parse_link. ENODEV when there is none."""
    body = IFINFOMSG.pack(0, 0, 0, 0, 0) + string(IFLA_IFNAME, name) + _NO_STATISTICS
    return Message(RTM_GETLINK, 0, body, f"RTM_GETLINK({name})")


def delete_link(name: str) -> Message:
    """RTM_DELLINK by name: some 16 ms, because the kernel waits until no CPU uses the link any more."""
    return Message(
        RTM_DELLINK, 0, IFINFOMSG.pack(0, 0, 0, 0, 0) + string(IFLA_IFNAME, name), f"RTM_DELLINK({name})"
    )


def delete_group(group: int) -> Message:
    """RTM_DELLINK of all links of a group: many for the price of one. ENODEV when it has none."""
    body = IFINFOMSG.pack(0, 0, 0, 0, 0) + u32(IFLA_GROUP, group)
    return Message(RTM_DELLINK, 0, body, f"RTM_DELLINK(group {group:#x})")


def new_address(index: int, address: ipaddress.IPv4Interface) -> Message:
    """RTM_NEWADDR: give the link an address with its prefix and broadcast address."""
    return _address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address)


def delete_address(index: int, address: ipaddress.IPv4Interface) -> Message:
    """RTM_DELADDR."""
    return _address(RTM_DELADDR, 0, index, address)


def _address(kind: int, flags: int, index: int, address: ipaddress.IPv4Interface) -> Message:
    body = (
        IFADDRMSG.pack(socket.AF_INET, address.network.prefixlen, 0, RT_SCOPE_UNIVERSE, index)
        + attribute(IFA_LOCAL, address.ip.packed)
        + attribute(IFA_ADDRESS, address.ip.packed)
        + attribute(IFA_BROADCAST, address.network.broadcast_address.packed)
    )
    verb = "RTM_NEWADDR" if kind == RTM_NEWADDR else "RTM_DELADDR"
    return Message(kind, flags, body, f"{verb}({address}, index {index})")


def new_default_route(gateway: ipaddress.IPv4Address) -> Message:
    """RTM_NEWROUTE: 0.0.0.0/0 by way of `gateway`, in the main table."""
    body = RTMSG.pack(
        socket.AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0
    ) + attribute(RTA_GATEWAY, gateway.packed)
    return Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body, f"RTM_NEWROUTE(default via {gateway})")


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
        body = IFINFOMSG.pack(0, 0, 0, 0, 0) + _NO_STATISTICS
        return [parse_link(found) for found in self.dump(Message(RTM_GETLINK, 0, body, "RTM_GETLINK(all)"))]

    def addresses(self, index: int) -> list[ipaddress.IPv4Interface]:
        """The IPv4 addresses of one link."""
        body = IFADDRMSG.pack(socket.AF_INET, 0, 0, 0, 0)
        found = self.dump(Message(RTM_GETADDR, 0, body, "RTM_GETADDR(all)"))
        return [address for owner, address in map(parse_address, found) if owner == index]

    def routes(self) -> list[Route]:
        """The IPv4 routes of all tables."""
        body = RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
        return [
            parse_route(found) for found in self.dump(Message(RTM_GETROUTE, 0, body, "RTM_GETROUTE(all)"))
        ]


_NO_STATISTICS = u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)


def parse_link(body: bytes) -> Link:
    """An RTM_NEWLINK the kernel sent."""
    _, _, index, flags, _ = IFINFOMSG.unpack_from(body)
    found = attributes(body, IFINFOMSG.size)
    info = attributes(found.get(IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=_text(found.get(IFLA_IFNAME, b"")),
        kind=_text(info.get(IFLA_INFO_KIND, b"")),
        master=_number(found.get(IFLA_MASTER)),
        peer=_number(found.get(IFLA_LINK)),
        mtu=_number(found.get(IFLA_MTU)),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        alias=_text(found.get(IFLA_IFALIAS, b"")),
        up=bool(flags & IFF_UP),
        operational=found.get(IFLA_OPERSTATE) == bytes([IF_OPER_UP]),
    )


def parse_address(body: bytes) -> tuple[int, ipaddress.IPv4Interface]:
    """(index of the link, address) of an RTM_NEWADDR the kernel sent."""
    _, prefix, _, _, index = IFADDRMSG.unpack_from(body)
    found = attributes(body, IFADDRMSG.size)
    packed = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS) or bytes(4)
    return index, ipaddress.IPv4Interface((packed, prefix))


def parse_route(body: bytes) -> Route:
    """An RTM_NEWROUTE the kernel sent."""
    _, length, _, _, table, _, _, kind, _ = RTMSG.unpack_from(body)
    found = attributes(body, RTMSG.size)
    gateway = found.get(RTA_GATEWAY)
    return Route(
        destination=ipaddress.IPv4Network((found.get(RTA_DST, bytes(4)), length)),
        gateway=socket.inet_ntoa(gateway) if gateway else "",
        index=_number(found.get(RTA_OIF)) or _number(found.get(RTA_MULTIPATH, b"")[4:]),
        priority=_number(found.get(RTA_PRIORITY)),
        table=_number(found.get(RTA_TABLE)) or table,
        kind=kind,
    )


def mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _text(payload: bytes) -> str:
    return payload.rstrip(b"\0").decode(errors="replace")


def _number(payload: bytes | None) -> int:
    return int.from_bytes(payload[:4], sys.byteorder) if payload else 0
