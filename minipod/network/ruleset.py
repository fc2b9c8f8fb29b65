"""The nft table as text: the whole of it, and the difference between two states of its maps. Pure.

What the chains are for:
- guard: 127.0.0.0/8 must be routable on the bridge for hostPorts to work on the host's loopback address
  (route_localnet), and that would let a pod talk to services that listen on 127.0.0.1 only (CVE-2020-8558): nothing
  that comes from the bridge may have a loopback address, before connection tracking restores any.
- host-ports: only for addresses that are this host's own, or a hostIP of somebody else's would divert traffic to it.
- postrouting: what left the pod network gets the host's address. What was sent back into it by a hostPort as well:
  otherwise the answering pod would reach the asking one directly across the bridge, from an address it never asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network

from minipod.network.hostports import Mapping

MAPS = {
    "hostports": "typeof meta l4proto . th dport : ip daddr . th dport",
    "hostports-by-address": "typeof ip daddr . meta l4proto . th dport : ip daddr . th dport",
}


def whole_table(table: str, bridge: str, pods: IPv4Network, mappings: Collection[Mapping]) -> str:
    """A script that makes the table, or makes an existing one what it should be, in one transaction."""
    maps = "".join(_map(name, kind, mappings) for name, kind in MAPS.items())
    return f"""\
add table inet {table}
delete table inet {table}
table inet {table} {{
{maps}\
  chain guard {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{bridge}" ip saddr 127.0.0.0/8 drop
    iifname "{bridge}" ip daddr 127.0.0.0/8 drop
  }}
  chain host-ports {{
    fib daddr type != local return
    dnat ip to ip daddr . meta l4proto . th dport map @hostports-by-address
    dnat ip to meta l4proto . th dport map @hostports
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    jump host-ports
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    jump host-ports
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
    oifname "{bridge}" ct status dnat ip saddr {pods} masquerade
    ip saddr {pods} ip daddr != {{ {pods}, 224.0.0.0/4 }} masquerade
  }}
}}
"""


def no_table(table: str) -> str:
    """A script that removes the table if it is there."""
    return f"add table inet {table}\ndelete table inet {table}\n"


def difference(table: str, before: Collection[Mapping], after: Collection[Mapping]) -> str:
    """A script that turns the maps from `before` into `after`; empty when they are equal."""
    gone, new = set(before) - set(after), set(after) - set(before)
    return "".join(
        [
            *_elements("delete", table, gone),
            *_elements("add", table, new),
        ]
    )


def _elements(verb: str, table: str, mappings: Iterable[Mapping]) -> Iterable[str]:
    for name in MAPS:
        chosen = [mapping for mapping in mappings if mapping.map_name == name]
        parts = sorted(mapping.key if verb == "delete" else mapping.element for mapping in chosen)
        if parts:
            yield f"{verb} element inet {table} {name} {{ {', '.join(parts)} }}\n"


def _map(name: str, kind: str, mappings: Iterable[Mapping]) -> str:
    elements = ", ".join(sorted(mapping.element for mapping in mappings if mapping.map_name == name))
    filled = f"    elements = {{ {elements} }}\n" if elements else ""
    return f"  map {name} {{\n    {kind}\n{filled}  }}\n"
