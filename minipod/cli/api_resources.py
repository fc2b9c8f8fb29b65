"""`minipod api-resources`: the types of object the API has."""

from __future__ import annotations

import sys

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.discovery import ApiResource
from minipod.cli.errors import CommandError
from minipod.cli.output.tabwriter import TabWriter
from minipod.cli.session import Session


@click.command("api-resources", cls=Verb)
@options.output("wide|name")
@options.flag("--no-headers", help="Leave out the line of column names.")
@click.option(
    "--namespaced", type=bool, default=None, help="Only types that have a namespace (true) or have none."
)
@click.pass_obj
def command(session: Session, output: str, no_headers: bool, namespaced: bool | None) -> None:
    """List the types of object the API has, their short names and kinds."""
    if output not in ("", "wide", "name"):
        raise CommandError(f'unknown output format "{output}"; api-resources prints wide or name')
    found = [r for r in session.discovery.all() if namespaced in (None, r.namespaced)]
    if output == "name":
        for resource in found:
            print(resource.plural + (f".{resource.group}" if resource.group else ""))
        return
    writer = TabWriter(minimum=6, padding=3)
    headers = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    if not no_headers:
        writer.write("\t".join([*headers, *(["VERBS", "CATEGORIES"] if output else [])]) + "\n")
    for resource in found:
        writer.write("\t".join(_cells(resource, wide=bool(output))) + "\n")
    sys.stdout.write(writer.flush())


def _cells(resource: ApiResource, *, wide: bool) -> list[str]:
    cells = [
        resource.plural,
        ",".join(resource.short_names),
        resource.api_version,
        str(resource.namespaced).lower(),
        resource.kind,
    ]
    return [*cells, *([",".join(resource.verbs), ",".join(resource.categories)] if wide else [])]
