"""`minipod cluster-info`: where the API is, and whether it answers."""

from __future__ import annotations

import click

from minipod.cli.command import Verb
from minipod.cli.session import Session


@click.command("cluster-info", cls=Verb)
@click.pass_obj
def command(session: Session) -> None:
    """Show where the API is and which nodes it has."""
    version = session.api.get("/version")["gitVersion"]
    address = session.api.server.address
    place = f"unix://{address}" if address.startswith("/") else address
    print(f"minipod {version} answers at {place}")
    for node in session.api.get(session.discovery.find("nodes").path())["items"] or ():
        status = node.get("status") or {}
        address = next(
            (a["address"] for a in status.get("addresses") or () if a["type"] == "InternalIP"), ""
        )
        ready = next(
            (c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"), "Unknown"
        )
        print(f"Node {node['metadata']['name']} {address} Ready={ready}")
