"""`minipod kubeconfig`: its name is kept for the API over TLS, which this version does not serve."""

from __future__ import annotations

import click

from minipod.cli.command import Verb
from minipod.cli.errors import CommandError


@click.command("kubeconfig", cls=Verb)
def command() -> None:
    """Print a kubeconfig for kubectl."""
    raise CommandError(
        "a kubeconfig needs the API over TLS, which this version does not serve yet; "
        "the minipod command itself speaks over the unix socket and needs none"
    )
