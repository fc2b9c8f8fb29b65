"""`minipod version`: ours, and that of the server."""

from __future__ import annotations

import sys

import click

import minipod
from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.errors import CommandError
from minipod.cli.session import Session


@click.command("version", cls=Verb)
@options.flag("--client", help="Only the client's; do not ask the server.")
@options.output("json|yaml")
@click.pass_obj
def command(session: Session, client: bool, output: str) -> None:
    """Print the versions of client and server."""
    if output not in ("", "json", "yaml"):
        raise CommandError(f'unknown output format "{output}"; version prints json or yaml')
    python = sys.version.split()[0]
    versions = {"clientVersion": {"gitVersion": f"v{minipod.__version__}", "pythonVersion": python}}
    if output:
        from minipod.cli.output.objects import renderer

        if not client:
            versions["serverVersion"] = session.api.get("/version")
        sys.stdout.write(renderer(output)(versions))
        return
    print(f"Client Version: v{minipod.__version__} (Python {python})", flush=True)
    if not client:
        print(f"Server Version: {session.api.get('/version')['gitVersion']}")
