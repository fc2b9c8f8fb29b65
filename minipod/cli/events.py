"""`minipod events`: what happened, oldest first."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.descriptions.events import event_row, in_order
from minipod.cli.errors import CommandError
from minipod.cli.output.tables import cell_text, column_writer
from minipod.cli.output.tabwriter import TabWriter
from minipod.cli.selection import parse_targets
from minipod.cli.session import Session
from minipod.client.http import Query

HEADERS = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]


@click.command("events", cls=Verb)
@click.option("--for", "about", default="", metavar="TYPE/NAME", help="Only events about this object.")
@click.option("--types", default="", metavar="TYPES", help="Only events of these types: Normal,Warning.")
@options.flag("-w", "--watch", help="Go on printing what happens.")
@options.all_namespaces()
@options.flag("--no-headers", help="Leave out the line of column names.")
@options.output("json|yaml|name|jsonpath=...")
@click.pass_obj
def command(
    session: Session,
    about: str,
    types: str,
    watch: bool,
    all_namespaces: bool,
    no_headers: bool,
    output: str,
) -> None:
    """List events.

    \b
    minipod events                         minipod events --for pod/web -w
    minipod events -A --types=Warning
    """
    resource = session.discovery.find("events")
    path = resource.path("" if all_namespaces else session.current_namespace)
    query = _query(session, about)
    wanted = _types(types)
    listed = session.api.get(path, query)
    found = [event for event in listed["items"] or () if not wanted or event.get("type") in wanted]
    show = _Objects(output) if output else _Rows(namespaces=all_namespaces, headers=not no_headers)
    if found or not watch:
        show.events(in_order(found))
    if not found and not watch and not output:
        where = "" if all_namespaces else f" in {session.current_namespace} namespace."
        print(f"No events found{where}", file=sys.stderr)
    version = listed["metadata"]["resourceVersion"]
    while watch:
        for change in session.api.watch(path, {**query, "resourceVersion": version}):
            event = change["object"]
            version = event["metadata"]["resourceVersion"]
            if change["type"] in ("ADDED", "MODIFIED") and (not wanted or event.get("type") in wanted):
                show.events([event])


def _query(session: Session, about: str) -> Query:
    if not about:
        return {}
    targets = parse_targets([about], session.discovery.find_all)
    if "/" not in about or len(targets) != 1:
        raise CommandError("--for must be TYPE/NAME, such as pod/web")
    fields = f"involvedObject.kind={targets[0].resource.kind},involvedObject.name={targets[0].names[0]}"
    return {"fieldSelector": fields}


def _types(text: str) -> frozenset[str]:
    known = {"normal": "Normal", "warning": "Warning"}
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word.lower() not in known:
            raise CommandError(f'--types: "{word}" is no type of event; there are Normal and Warning')
    return frozenset(known[word.lower()] for word in words)


class _Rows:
    def __init__(self, *, namespaces: bool, headers: bool) -> None:
        self._namespaces = namespaces
        self._headers = headers
        self._writer: TabWriter = column_writer(remember=True)

    def events(self, events: list[dict[str, Any]]) -> None:
        if self._headers and events:
            self._line(["NAMESPACE"] if self._namespaces else [], HEADERS)
            self._headers = False
        for event in events:
            before = [event["metadata"].get("namespace", "")] if self._namespaces else []
            self._line(before, [cell_text(cell) for cell in event_row(event, time.time())])
        sys.stdout.write(self._writer.flush())
        sys.stdout.flush()

    def _line(self, before: list[str], cells: list[str]) -> None:
        self._writer.write("\t".join([*before, *cells]) + "\n")


class _Objects:
    def __init__(self, output: str) -> None:
        from minipod.cli.output.objects import renderer

        self._render = renderer(output)

    def events(self, events: list[dict[str, Any]]) -> None:
        from minipod.cli.output.objects import as_list

        stated = {"apiVersion": "v1", "kind": "Event"}
        sys.stdout.write(self._render(as_list([{**stated, **event} for event in events])))
        sys.stdout.flush()
