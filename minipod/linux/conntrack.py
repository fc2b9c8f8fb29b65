"""Connection tracking by nfnetlink: forget flows whose NAT was decided under rules that are gone.

NAT is decided by a flow's first packet. A UDP flow has no end: as long as its sender goes on, it keeps what was
decided, so a change of rules has to name the flows it is about. Messages: linux/netfilter/nfnetlink_conntrack.h;
deleting by filter needs Linux 5.8.
"""

from __future__ import annotations

import ipaddress
import socket
import struct

from minipod.linux.netlink import Message, NetlinkSocket, attribute, nested, u8, u32

NETLINK_NETFILTER = 12
IPCTNL_MSG_CT_DELETE = (1 << 8) | 2
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_STATUS, CTA_FILTER, CTA_STATUS_MASK = 1, 2, 3, 25, 26
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP_V4_SRC = 1
CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT = 1, 2, 3
CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS = 1, 2
FILTER_IP_SRC, FILTER_PROTO_NUM, FILTER_SRC_PORT, FILTER_DST_PORT = 1 << 0, 1 << 3, 1 << 4, 1 << 5
IPS_SRC_NAT, IPS_DST_NAT = 1 << 4, 1 << 5

NFGENMSG = struct.pack("=BB", socket.AF_INET, 1) + struct.pack("!H", 0)
"""Version 1: only then does the kernel take the family for a filter."""


def delete_flows_answered_by(address: ipaddress.IPv4Address, port: int) -> Message:
    """IPCTNL_MSG_CT_DELETE of the UDP flows that `address`:`port` answers, whatever NAT led them there."""
    body = nested(
        CTA_TUPLE_REPLY,
        nested(CTA_TUPLE_IP, attribute(CTA_IP_V4_SRC, address.packed)),
        _udp(CTA_PROTO_SRC_PORT, port),
    ) + nested(
        CTA_FILTER,
        u32(CTA_FILTER_ORIG_FLAGS, 0),
        u32(CTA_FILTER_REPLY_FLAGS, FILTER_IP_SRC | FILTER_PROTO_NUM | FILTER_SRC_PORT),
    )
    return Message(
        IPCTNL_MSG_CT_DELETE, 0, NFGENMSG + body, f"IPCTNL_MSG_CT_DELETE(udp from {address}:{port})"
    )


def delete_untranslated_flows_to(port: int) -> Message:
    """IPCTNL_MSG_CT_DELETE of the UDP flows to a port that no NAT touches."""
    body = (
        nested(CTA_TUPLE_ORIG, _udp(CTA_PROTO_DST_PORT, port))
        + nested(
            CTA_FILTER,
            u32(CTA_FILTER_ORIG_FLAGS, FILTER_PROTO_NUM | FILTER_DST_PORT),
            u32(CTA_FILTER_REPLY_FLAGS, 0),
        )
        + attribute(CTA_STATUS, struct.pack("!I", 0))
        + attribute(CTA_STATUS_MASK, struct.pack("!I", IPS_SRC_NAT | IPS_DST_NAT))
    )
    return Message(IPCTNL_MSG_CT_DELETE, 0, NFGENMSG + body, f"IPCTNL_MSG_CT_DELETE(udp to port {port})")


def _udp(which: int, port: int) -> bytes:
    number = u8(CTA_PROTO_NUM, socket.IPPROTO_UDP)
    return nested(CTA_TUPLE_PROTO, number, attribute(which, struct.pack("!H", port)))


class ConntrackSocket(NetlinkSocket):
    """Connection tracking of the network namespace of the thread that opens it."""

    def __init__(self) -> None:
        super().__init__(NETLINK_NETFILTER)

    def __enter__(self) -> ConntrackSocket:
        return self
