"""`minipod anatomy`: what a pod is made of, drawn."""

from __future__ import annotations

import sys

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.errors import CommandError
from minipod.cli.node_pages import proxy_path
from minipod.cli.pods import get_pod, pod_name
from minipod.cli.session import Session


@click.command("anatomy", cls=Verb)
@click.argument("pod", metavar="POD", shell_complete=options.completer("pods"))
@options.output("json|yaml|jsonpath=...")
@click.pass_obj
def command(session: Session, pod: str, output: str) -> None:
    """Draw what a pod is made of.

    The infra process, every namespace and who shares it, the cgroups with limits and usage, the veth pair and
    address, and for each container its overlay layers, mounts and processes.

    \b
    minipod anatomy web                    minipod anatomy web -o json
    """
    found = get_pod(session, pod_name(session, pod))
    node = (found.get("spec") or {}).get("nodeName")
    if not node:
        raise CommandError(f'pod "{found["metadata"]["name"]}" is on no node yet: there is nothing to draw')
    anatomy = session.api.get(proxy_path(session, f"pods/{found['metadata']['uid']}/anatomy", node))
    if output:
        from minipod.cli.output.objects import renderer

        sys.stdout.write(renderer(output)(anatomy))
        return
    from minipod.cli.pod_drawing import draw_pod

    plain = "utf" not in (sys.stdout.encoding or "").lower()
    sys.stdout.write(draw_pod(anatomy, plain=plain))
