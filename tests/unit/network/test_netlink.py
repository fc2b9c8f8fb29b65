"""Framing of netlink messages, without a kernel."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from minipod.linux.netlink import NLA_TYPE_MASK, attribute, attributes, nested, string, u8, u32
from minipod.linux.rtnetlink import (
    IFINFOMSG,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_LINKINFO,
    IFLA_MTU,
    IFLA_NET_NS_FD,
    VETH_INFO_PEER,
    VethEnd,
    new_veth,
    parse_address,
    parse_link,
)


@given(st.dictionaries(st.integers(0, NLA_TYPE_MASK), st.binary(max_size=40), max_size=6))
def test_attributes_are_read_as_they_were_written(wanted: dict[int, bytes]) -> None:
    data = b"".join(attribute(kind, payload) for kind, payload in wanted.items())
    assert len(data) % 4 == 0
    assert attributes(data) == wanted


@given(st.binary(max_size=200))
def test_whatever_comes_in_reading_ends(data: bytes) -> None:
    attributes(data)
    if len(data) >= IFINFOMSG.size:
        parse_link(data)


def test_nesting_marks_the_type_and_is_seen_through() -> None:
    data = nested(18, string(1, "veth"), u8(2, 3), u32(4, 5))
    assert data[2:4] == b"\x12\x80"
    inner = attributes(attributes(data)[18])
    assert inner == {1: b"veth\0", 2: b"\3", 4: b"\5\0\0\0"}


def test_a_veth_message_makes_each_end_where_it_belongs() -> None:
    message = new_veth(
        VethEnd(name="mp1", mtu=1400), VethEnd(name="eth0", mtu=1400, netns_fd=7, mac="0a:58:0a:09:00:02")
    )
    outer = attributes(message.body, IFINFOMSG.size)
    peer = attributes(
        attributes(attributes(outer[IFLA_LINKINFO])[IFLA_INFO_DATA])[VETH_INFO_PEER], IFINFOMSG.size
    )
    assert (outer[IFLA_IFNAME], peer[IFLA_IFNAME]) == (b"mp1\0", b"eth0\0")
    assert (outer[IFLA_MTU], peer[IFLA_MTU]) == (b"\x78\x05\0\0",) * 2
    assert IFLA_NET_NS_FD not in outer
    assert peer[IFLA_NET_NS_FD] == b"\7\0\0\0"
    assert message.call == "RTM_NEWLINK(mp1, kind=veth)"


def test_an_address_is_read_with_its_prefix() -> None:
    body = (
        bytes([2, 24, 0, 0, 5, 0, 0, 0])
        + attribute(2, bytes([10, 9, 0, 1]))
        + attribute(1, bytes([10, 9, 0, 9]))
    )
    assert parse_address(body) == (5, ipaddress.IPv4Interface("10.9.0.1/24"))
