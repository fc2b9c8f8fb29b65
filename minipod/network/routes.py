"""What the host's routes say about the pod network: does the pod CIDR collide, which way leads out. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from minipod.linux.rtnetlink import RT_TABLE_LOCAL, RT_TABLE_MAIN, RTN_LOCAL, RTN_UNICAST, Route

DEFAULT_ROUTE_LENGTH = 1
"""VPNs put 0.0.0.0/1 and 128.0.0.0/1 over the default route; they are default routes all the same."""


def colliding_route(pods: IPv4Network, routes: Iterable[Route], own: int) -> Route | None:
    """A route of the main table, or an address of the host, that shares addresses with the pod CIDR.

    Default routes and those of interface `own` (the bridge) do not count.
    """
    for route in routes:
        concerns_us = route.table == RT_TABLE_MAIN or (
            route.table == RT_TABLE_LOCAL and route.kind == RTN_LOCAL
        )
        if (
            not concerns_us
            or route.destination.prefixlen <= DEFAULT_ROUTE_LENGTH
            or (own and route.index == own)
        ):
            continue
        if route.destination.overlaps(pods):
            return route
    return None


def default_interface(routes: Iterable[Route]) -> int:
    """The index of the interface of the default route with the lowest metric, 0 when there is none."""
    found = [
        route
        for route in routes
        if route.table == RT_TABLE_MAIN
        and route.kind == RTN_UNICAST
        and route.destination.prefixlen == 0
        and route.index
    ]
    return min(found, key=lambda route: route.priority).index if found else 0
