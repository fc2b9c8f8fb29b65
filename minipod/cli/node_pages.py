"""The node's own pages: nodes/NAME/proxy/..., where images and the anatomy of pods are."""

from __future__ import annotations

from typing import Any

from minipod.cli.errors import CommandError
from minipod.cli.session import Session


def proxy_path(session: Session, path: str, node: str = "") -> str:
    """The path of a page of the node, by default of the only node there is. Raises CommandError without one."""
    nodes = session.discovery.find("nodes")
    if not node:
        names = [item["metadata"]["name"] for item in session.api.get(nodes.path())["items"] or ()]
        if not names:
            raise CommandError("the API knows no node yet: the daemon may still be starting")
        node = names[0]
    return f"{nodes.path('', node)}/proxy/{path}"


def list_images(session: Session) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = session.api.get(proxy_path(session, "images"))["images"]
    return images
