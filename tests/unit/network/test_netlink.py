"""What the kernel would read in our requests, and what we read in its answers; without a kernel."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, nlmsg
from pyroute2.netlink.nfnetlink.nfctsocket import nfct_msg
from pyroute2.netlink.rtnl import RTM_NEWLINK
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from minipod.linux.conntrack import delete_flows_answered_by, delete_untranslated_flows_to
from minipod.linux.netlink import Message, _template, decode, encode
from minipod.linux.rtnetlink import (
    VethEnd,
    delete_link,
    get_link,
    new_address,
    new_bridge,
    new_default_route,
    new_veth,
    parse_address,
    parse_link,
    parse_operational,
    parse_route,
    set_link,
)

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._", min_size=1, max_size=15)
addresses = st.ip_addresses(v=4)
POD = VethEnd(name="eth0", mtu=1400, netns_fd=7, mac="0a:58:0a:09:00:02")


def encoded(layout: type[nlmsg], attributes: list[tuple[str, object]], **fields: object) -> bytes:
    message = layout()
    message.update(fields)
    message["attrs"] = attributes
    return encode(message, 0, 0, "").data


def test_a_veth_message_makes_each_end_where_it_belongs() -> None:
    message = new_veth(VethEnd(name="mp1", mtu=1400, master=5), POD)
    assert message.call == "RTM_NEWLINK(mp1, kind=veth)"
    assert len(message.data) % 4 == 0
    assert struct.unpack_from("=IHH", message.data) == (
        len(message.data),
        RTM_NEWLINK,
        NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    )
    host = decode(ifinfmsg, message.data)
    assert host.get(("linkinfo", "kind")) == "veth"
    pod = host.get(("linkinfo", "data", "VETH_INFO_PEER"))
    for end, name in ((host, "mp1"), (pod, "eth0")):
        assert end.get_attr("IFLA_IFNAME") == name
        assert end.get_attr("IFLA_MTU") == 1400
        assert (end.get_attr("IFLA_NUM_TX_QUEUES"), end.get_attr("IFLA_NUM_RX_QUEUES")) == (1, 1)
    assert (host.get_attr("IFLA_MASTER"), pod.get_attr("IFLA_MASTER")) == (5, None)
    assert (host.get_attr("IFLA_NET_NS_FD"), pod.get_attr("IFLA_NET_NS_FD")) == (None, 7)
    assert (host.get_attr("IFLA_ADDRESS"), pod.get_attr("IFLA_ADDRESS")) == (None, "0a:58:0a:09:00:02")


@settings(max_examples=25)
@given(
    names,
    names,
    st.integers(3, 2**31 - 1),
    st.binary(min_size=6, max_size=6),
    addresses,
    st.text(max_size=60),
)
def test_what_varies_arrives(
    host: str, pod: str, netns_fd: int, mac: bytes, ip: ipaddress.IPv4Address, alias: str
) -> None:
    end = VethEnd(name=pod, mtu=1500, netns_fd=netns_fd, mac=mac.hex(":"))
    made = decode(ifinfmsg, new_veth(VethEnd(name=host, mtu=1500), end).data)
    peer = made.get(("linkinfo", "data", "VETH_INFO_PEER"))
    assert (made.get_attr("IFLA_IFNAME"), peer.get_attr("IFLA_IFNAME")) == (host, pod)
    assert (peer.get_attr("IFLA_NET_NS_FD"), peer.get_attr("IFLA_ADDRESS")) == (netns_fd, mac.hex(":"))
    for message in (get_link(host), delete_link(host), set_link(host, up=True)):
        assert decode(ifinfmsg, message.data).get_attr("IFLA_IFNAME") == host
    interface = ipaddress.IPv4Interface((ip, 16))
    given_address = decode(ifaddrmsg, new_address(3, interface).data)
    assert given_address.get_attr("IFA_LOCAL") == str(ip)
    assert given_address.get_attr("IFA_BROADCAST") == str(interface.network.broadcast_address)
    assert decode(rtmsg, new_default_route(ip).data).get_attr("RTA_GATEWAY") == str(ip)
    named = decode(ifinfmsg, set_link(host, alias=alias).data).get_attr("IFLA_IFALIAS", "")
    assert named == alias.strip("\0")


@pytest.mark.parametrize(
    "build",
    [
        lambda n: new_veth(
            VethEnd(name=f"mp{n}", mtu=1500, master=3), VethEnd(name="eth0", mtu=1500, netns_fd=n)
        ),
        lambda n: set_link(f"mp{n}", alias=f"minipod pod {n}", link_local=False, hairpin=True),
        lambda n: get_link(f"mp{n}"),
        lambda n: new_address(2, ipaddress.IPv4Interface(f"10.9.{n}.1/24")),
    ],
)
def test_what_every_pod_needs_is_encoded_once(build: Callable[[int], Message]) -> None:
    build(10)
    before = _template.cache_info().misses
    assert build(11).data != build(12).data
    assert _template.cache_info().misses == before


def test_a_name_longer_than_the_kernel_takes_is_refused() -> None:
    get_link("a" * 15)
    with pytest.raises(ValueError, match=r"RTM_GETLINK\(a{17}\): .* has 17 bytes, at most 16 fit"):
        get_link("a" * 17)


def test_a_link_is_changed_by_name_or_index_and_only_as_told() -> None:
    by_index = decode(ifinfmsg, set_link(9, up=False, mtu=1400, master=5, group=77).data)
    assert (by_index["index"], by_index["flags"], by_index["change"]) == (9, 0, 1)
    assert {slot.name: slot.value for slot in by_index["attrs"]} == {
        "IFLA_MTU": 1400,
        "IFLA_MASTER": 5,
        "IFLA_GROUP": 77,
    }
    by_name = decode(ifinfmsg, set_link("mp1", link_local=False, hairpin=True).data)
    assert (by_name["index"], by_name["flags"], by_name["change"]) == (0, 0, 0)
    assert [slot.name for slot in by_name["attrs"]] == ["IFLA_IFNAME", "IFLA_AF_SPEC", "IFLA_LINKINFO"]
    assert by_name.get(("af_spec", "AF_INET6", "IFLA_INET6_ADDR_GEN_MODE")) == 1
    assert by_name.get(("linkinfo", "slave_kind")) == "bridge"
    assert by_name.get(("linkinfo", "slave_data", "mode")) == 1


def test_a_bridge_forwards_at_once() -> None:
    bridge = decode(ifinfmsg, new_bridge("br0", mac="0a:58:0a:09:00:01", mtu=1500).data)
    data = bridge.get(("linkinfo", "data"))
    assert {slot.name: slot.value for slot in data["attrs"]} == {
        "IFLA_BR_FORWARD_DELAY": 0,
        "IFLA_BR_STP_STATE": 0,
        "IFLA_BR_MCAST_SNOOPING": 0,
    }


def test_a_link_is_read_whatever_it_is_called() -> None:
    veth = [
        ("IFLA_IFNAME", "mp1"),
        ("IFLA_LINK", 4),
        ("IFLA_MASTER", 2),
        ("IFLA_OPERSTATE", "UP"),
        ("IFLA_MTU", 9),
    ]
    link = parse_link(
        encoded(
            ifinfmsg,
            [*veth, ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "veth")]})],
            index=3,
            flags=0x1043,
        )
    )
    assert (link.index, link.name, link.kind, link.peer, link.master, link.mtu) == (
        3,
        "mp1",
        "veth",
        4,
        2,
        9,
    )
    assert (link.up, link.alias) == (True, "")
    odd = parse_link(encoded(ifinfmsg, [("IFLA_IFNAME", b"\xff0"), ("IFLA_IFALIAS", b"\xfe")]))
    assert (odd.name, odd.alias, odd.kind) == ("\ufffd0", "\ufffd", "")
    assert not odd.up


@pytest.mark.parametrize(
    ("state", "can_send"), [("UP", True), ("LOWERLAYERDOWN", False), ("UNKNOWN", False)]
)
def test_a_link_can_send_once_its_state_says_up(state: str, can_send: bool) -> None:
    answer = encoded(ifinfmsg, [("IFLA_OPERSTATE", state)], index=3, flags=0x1043)
    assert parse_operational(answer) == (3, can_send)


def test_an_address_is_read_with_its_prefix() -> None:
    answer = encoded(
        ifaddrmsg,
        [("IFA_LOCAL", "10.9.0.1"), ("IFA_ADDRESS", "10.9.0.9")],
        family=socket.AF_INET,
        prefixlen=24,
        index=5,
    )
    assert parse_address(answer) == (5, ipaddress.IPv4Interface("10.9.0.1/24"))


def test_a_route_is_read_with_the_first_of_its_ways() -> None:
    ways = [{"oif": 4, "hops": 0, "flags": 0}, {"oif": 6, "hops": 0, "flags": 0}]
    several = parse_route(
        encoded(
            rtmsg,
            [("RTA_DST", "10.1.0.0"), ("RTA_MULTIPATH", ways)],
            family=2,
            dst_len=16,
            table=254,
            type=1,
        )
    )
    assert (several.destination, several.index, several.gateway) == (
        ipaddress.IPv4Network("10.1.0.0/16"),
        4,
        "",
    )
    default = parse_route(
        encoded(
            rtmsg,
            [("RTA_TABLE", 1000), ("RTA_GATEWAY", "10.9.0.1"), ("RTA_OIF", 2), ("RTA_PRIORITY", 7)],
            family=2,
            table=252,
            type=1,
        )
    )
    assert (default.destination, default.gateway) == (ipaddress.IPv4Network("0.0.0.0/0"), "10.9.0.1")
    assert (default.index, default.priority, default.table, default.kind) == (2, 7, 1000, 1)


def test_flows_are_named_by_what_their_filter_compares() -> None:
    answered = decode(nfct_msg, delete_flows_answered_by(ipaddress.IPv4Address("10.9.0.3"), 53).data)
    assert (answered["nfgen_family"], answered["version"]) == (socket.AF_INET, 1)
    assert answered.get(("tuple_reply", "CTA_TUPLE_IP", "CTA_IP_V4_SRC")) == "10.9.0.3"
    assert answered.get(("tuple_reply", "CTA_TUPLE_PROTO", "CTA_PROTO_SRC_PORT")) == 53
    # Source address, protocol and source port of the reply; nothing of the original.
    assert _compared(answered) == (0, 1 << 0 | 1 << 3 | 1 << 4)

    asked = decode(nfct_msg, delete_untranslated_flows_to(53).data)
    assert asked.get(("tuple_orig", "CTA_TUPLE_PROTO", "CTA_PROTO_DST_PORT")) == 53
    assert _compared(asked) == (1 << 3 | 1 << 5, 0)
    assert (asked.get_attr("CTA_STATUS"), asked.get_attr("CTA_STATUS_MASK")) == (0, 1 << 4 | 1 << 5)


def _compared(message: nlmsg) -> tuple[int, int]:
    found = message.get_attr("CTA_FILTER")
    return found.get_attr("CTA_FILTER_ORIG_FLAGS"), found.get_attr("CTA_FILTER_REPLY_FLAGS")
