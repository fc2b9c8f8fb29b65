"""What the host's routes say about the pod CIDR."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from minipod.linux.rtnetlink import RT_TABLE_LOCAL, RT_TABLE_MAIN, RTN_LOCAL, RTN_UNICAST, Route
from minipod.network.routes import colliding_route, default_interface

BRIDGE = 7
PODS = IPv4Network("10.9.0.0/16")


def route(
    destination: str,
    index: int = 2,
    *,
    priority: int = 0,
    table: int = RT_TABLE_MAIN,
    kind: int = RTN_UNICAST,
) -> Route:
    network = IPv4Network(destination)
    return Route(destination=network, gateway="", index=index, priority=priority, table=table, kind=kind)


@pytest.mark.parametrize(
    ("found", "collides"),
    [
        (route("10.9.0.0/16"), True),
        (route("10.9.7.0/24"), True),
        (route("10.0.0.0/8"), True),
        (route("10.9.0.9/32", table=RT_TABLE_LOCAL, kind=RTN_LOCAL), True),
        (route("10.10.0.0/16"), False),
        (route("0.0.0.0/0"), False),
        (route("0.0.0.0/1"), False),
        (route("10.9.0.0/16", BRIDGE), False),
        (route("10.9.0.0/16", table=123), False),
        (route("10.9.255.255/32", table=RT_TABLE_LOCAL, kind=3), False),
    ],
)
def test_a_route_collides_when_it_shares_addresses_and_is_not_the_bridges(
    found: Route, collides: bool
) -> None:
    assert colliding_route(PODS, [route("192.0.2.0/24"), found], own=BRIDGE) == (found if collides else None)


def test_without_a_bridge_no_route_is_excused_for_having_no_interface() -> None:
    blackhole = route("10.9.0.0/16", 0)
    assert colliding_route(PODS, [blackhole], own=0) == blackhole


def test_the_way_out_is_the_default_route_with_the_lowest_metric() -> None:
    routes = [
        route("10.0.0.0/8", 1),
        route("0.0.0.0/0", 2, priority=600),
        route("0.0.0.0/0", 3, priority=100),
        route("0.0.0.0/0", 4, table=123),
        route("0.0.0.0/0", 0),
    ]
    assert default_interface(routes) == 3


def test_a_host_may_have_no_way_out() -> None:
    assert default_interface([route("10.0.0.0/8")]) == 0
