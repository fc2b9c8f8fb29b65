"""`minipod get -w`: the same output, going on with every change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from minipod.cli.discovery import ApiResource
from minipod.cli.errors import CommandError
from minipod.cli.get import GetOptions, complete_items, namespace_for, query_of, table_options
from minipod.cli.output.tables import TablePrinter
from minipod.cli.selection import Target
from minipod.cli.session import Session
from minipod.client.http import JSON, TABLE

Show = Callable[[Any], str]


def watch(session: Session, targets: list[Target], chosen: GetOptions) -> None:
    """Print what there is (unless --watch-only) and then every change, until interrupted."""
    if len(targets) != 1 or len(targets[0].names) > 1:
        raise CommandError("--watch takes one type, or one object; not several")
    if chosen.sort_by:
        raise CommandError("--sort-by and --watch exclude each other: what comes later cannot be sorted in")
    target = targets[0]
    show = _tables(chosen, target.resource) if chosen.tables else _objects(chosen)
    for answer in _answers(session, target, chosen):
        sys.stdout.write(show(answer))
        sys.stdout.flush()


def _answers(session: Session, target: Target, chosen: GetOptions) -> Iterator[Any]:
    """The state now, then the object of each event."""
    resource = target.resource
    namespace = namespace_for(session, chosen, resource)
    query = query_of(chosen)
    name = target.names[0] if target.names else ""
    if name:
        query["fieldSelector"] = f"metadata.name={name}"
    get = session.api.table if chosen.tables else session.api.get
    now = get(resource.path(namespace, name), None if name else query)
    if not chosen.watch_only:
        yield now
    version = now["metadata"]["resourceVersion"]
    accept = TABLE if chosen.tables else JSON
    while True:
        for event in session.api.watch(
            resource.path(namespace), {**query, "resourceVersion": version}, accept=accept
        ):
            if event["type"] == "BOOKMARK":
                continue
            yield event["object"]
            version = _version(event["object"]) or version


def _version(answer: Any) -> str:
    """The resourceVersion an event's object (or its Table of one row) is at."""
    rows = answer.get("rows")
    source = (rows[0].get("object") or {}) if rows else answer
    return str((source.get("metadata") or {}).get("resourceVersion") or "")


def _tables(chosen: GetOptions, resource: ApiResource) -> Show:
    return TablePrinter(table_options(chosen, resource, several=False)).render


def _objects(chosen: GetOptions) -> Show:
    from minipod.cli.output.objects import renderer

    headers = not chosen.no_headers

    def show(answer: Any) -> str:
        nonlocal headers
        render = renderer(chosen.output, headers=headers, managed_fields=chosen.show_managed_fields)
        headers = False
        objects = complete_items(answer)
        before = "---\n" if chosen.output == "yaml" else ""
        return "".join(before + render(obj) for obj in objects)

    return show
