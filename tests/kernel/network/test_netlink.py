"""The netlink socket against the kernel, and against somebody who plays it."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from minipod.linux.netlink import HEADER, NLMSG_ERROR, NetlinkSocket
from minipod.linux.rtnetlink import RouteSocket, delete_link, get_link, new_bridge, set_link
from tests.kernel.network.machine import links


def test_an_error_names_call_operand_and_what_the_kernel_says(node: None) -> None:
    with RouteSocket() as route:
        with pytest.raises(OSError, match=r"RTM_DELLINK\(nothing0\): No such device") as caught:
            route.request(delete_link("nothing0"))
        assert caught.value.errno == errno.ENODEV
        route.request(new_bridge("br0", mac="0a:00:00:00:00:01", mtu=1400))
        with pytest.raises(OSError, match=r"RTM_NEWLINK\(br0\): .*\(mtu greater than device maximum\)"):
            route.request(set_link("br0", mtu=2**30))


def test_messages_after_a_failed_one_are_still_done(node: None) -> None:
    with RouteSocket() as route:
        with pytest.raises(OSError, match="nothing0"):
            route.request(delete_link("nothing0"), new_bridge("br0", mac="0a:00:00:00:00:01", mtu=1400))
        link = route.link("br0")
        assert link is not None
        assert (link.kind, link.mtu, link.up) == ("bridge", 1400, False)
        assert (links()["br0"]["ifindex"], links()["br0"]["address"]) == (link.index, "0a:00:00:00:00:01")
        assert [found.name for found in route.links()] == ["lo", "br0"]
        assert route.link("br1") is None


def test_only_the_kernel_is_believed(node: None) -> None:
    """A container with CAP_NET_ADMIN can send to any netlink socket in its namespace."""
    with RouteSocket() as route, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as forger:
        victim = _port(route)
        success = HEADER.pack(20, NLMSG_ERROR, 0, 1, victim) + struct.pack("=i", 0)
        forger.sendto(success, (victim, 0))
        with pytest.raises(OSError, match="nothing0"):
            route.request(get_link("nothing0"))


def _port(netlink: NetlinkSocket) -> int:
    route = netlink._socket
    route.bind((0, 0))
    port: int = route.getsockname()[0]
    return port
