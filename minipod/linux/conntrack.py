"""Connection tracking by nfnetlink: forget flows whose NAT was decided under rules that are gone.

NAT is decided by a flow's first packet. A UDP flow has no end: as long as its sender goes on, it keeps what was
decided, so a change of rules has to name the flows it is about. Messages: linux/netfilter/nfnetlink_conntrack.h;
deleting by filter needs Linux 5.8.
"""

from __future__ import annotations

import ipaddress
import socket

from pyroute2.netlink import NETLINK_NETFILTER
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_CTNETLINK
from pyroute2.netlink.nfnetlink.nfctsocket import (
    IPCTNL_MSG_CT_DELETE,
    IPS_NAT_MASK,
    NFCTAttrTuple,
    nfct_msg,
)

from minipod.linux.netlink import Message, NetlinkSocket, encode

FILTERING_VERSION = 1
"""Of nfgenmsg: only then does the kernel take the family for a filter."""


def delete_flows_answered_by(address: ipaddress.IPv4Address, port: int) -> Message:
    """IPCTNL_MSG_CT_DELETE of the UDP flows that `address`:`port` answers, whatever NAT led them there."""
    server = NFCTAttrTuple(saddr=str(address), proto=socket.IPPROTO_UDP, sport=port)
    message = nfct_msg.create_from(tuple_reply=server, filter=_filter(reply=server))
    return _delete(message, f"udp from {address}:{port}")


def delete_untranslated_flows_to(port: int) -> Message:
    """IPCTNL_MSG_CT_DELETE of the UDP flows to a port that no NAT touches."""
    asked = NFCTAttrTuple(proto=socket.IPPROTO_UDP, dport=port)
    message = nfct_msg.create_from(
        tuple_orig=asked, filter=_filter(original=asked), status=0, status_mask=IPS_NAT_MASK
    )
    return _delete(message, f"udp to port {port}")


def _filter(original: NFCTAttrTuple | None = None, reply: NFCTAttrTuple | None = None) -> dict[str, object]:
    """CTA_FILTER: of each direction's tuple, compare what is set in it."""
    flags = []
    for name, given in (("CTA_FILTER_ORIG_FLAGS", original), ("CTA_FILTER_REPLY_FLAGS", reply)):
        if given is not None:
            given.attrs()  # works the flags out
        flags.append((name, given.flags if given is not None else 0))
    return {"attrs": flags}


def _delete(message: nfct_msg, operand: str) -> Message:
    message["nfgen_family"] = socket.AF_INET
    message["version"] = FILTERING_VERSION
    kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE
    return encode(message, kind, 0, f"IPCTNL_MSG_CT_DELETE({operand})")


class ConntrackSocket(NetlinkSocket):
    """Connection tracking of the network namespace of the thread that opens it."""

    def __init__(self) -> None:
        super().__init__(NETLINK_NETFILTER)

    def __enter__(self) -> ConntrackSocket:
        return self
