"""`minipod top`: what pods use, from two looks at the node's counters a moment apart."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.durations import parse_duration
from minipod.cli.errors import CommandError
from minipod.cli.node_pages import proxy_path
from minipod.cli.output.tables import column_writer
from minipod.cli.session import Session

Obj = dict[str, Any]

Key = tuple[str, str, str]
"""Namespace, pod, container ("" for the whole pod)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu` in thousandths of a processor, `memory` in bytes."""

    namespace: str
    pod: str
    container: str
    cpu: int
    memory: int


@click.command("top", cls=Verb)
@click.argument("words", nargs=-1, metavar="pods [NAME]", shell_complete=options.completer("pods"))
@options.all_namespaces()
@options.flag("--containers", help="A line for each container.")
@click.option("--sort-by", type=click.Choice(["cpu", "memory"]), default=None, help="Largest first.")
@options.flag("--no-headers", help="Leave out the line of column names.")
@click.option("--interval", default="1s", metavar="TIME", help="Time between the two looks [1s].")
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    all_namespaces: bool,
    containers: bool,
    sort_by: str | None,
    no_headers: bool,
    interval: str,
) -> None:
    """Show the processor time and memory that pods use.

    \b
    minipod top pods                       minipod top pods -A --containers --sort-by=memory
    """
    if not words or words[0] not in ("pod", "pods", "po") or len(words) > 2:
        raise CommandError("top shows pods: minipod top pods [NAME]")
    wanted = words[1] if len(words) == 2 else ""
    path = proxy_path(session, "stats/summary")
    begin, before = time.monotonic(), session.api.get(path)
    time.sleep(max(parse_duration(interval, "--interval"), 0.01))
    after, seconds = session.api.get(path), time.monotonic() - begin
    found = [
        usage
        for usage in measure(before, after, seconds)
        if bool(usage.container) == containers
        and (all_namespaces or usage.namespace == session.current_namespace)
        and (not wanted or usage.pod == wanted)
    ]
    if wanted and not found:
        raise CommandError(f'pod "{wanted}" does not run: there is nothing to measure')
    if not found:
        where = "" if all_namespaces else f" in {session.current_namespace} namespace."
        print(f"No resources found{where}", file=sys.stderr)
        return
    if sort_by:
        found.sort(key=lambda usage: -int(getattr(usage, sort_by)))
    sys.stdout.write(table(found, namespaces=all_namespaces, containers=containers, headers=not no_headers))


def measure(before: Obj, after: Obj, seconds: float) -> list[Usage]:
    """From two stats/summary answers `seconds` apart; who was not there before counts from 0."""
    earlier = {key: stats["cpu"]["usageCoreNanoSeconds"] for key, stats in _entries(before)}
    return [
        Usage(
            *key,
            cpu=round(max(stats["cpu"]["usageCoreNanoSeconds"] - earlier.get(key, 0), 0) / seconds / 1e6),
            memory=stats["memory"]["workingSetBytes"],
        )
        for key, stats in sorted(_entries(after), key=lambda entry: entry[0])
    ]


def table(usages: Sequence[Usage], *, namespaces: bool, containers: bool, headers: bool) -> str:
    writer = column_writer()
    names = ["POD", "NAME"] if containers else ["NAME"]
    if headers:
        writer.write(
            "\t".join([*(["NAMESPACE"] if namespaces else []), *names, "CPU(cores)", "MEMORY(bytes)"]) + "\n"
        )
    for usage in usages:
        before = [usage.namespace] if namespaces else []
        who = [usage.pod, usage.container] if containers else [usage.pod]
        writer.write("\t".join([*before, *who, f"{usage.cpu}m", f"{usage.memory >> 20}Mi"]) + "\n")
    return writer.flush()


def _entries(summary: Obj) -> Iterator[tuple[Key, Obj]]:
    for pod in summary.get("pods") or ():
        reference = pod["podRef"]
        yield (reference["namespace"], reference["name"], ""), pod
        for container in pod.get("containers") or ():
            yield (reference["namespace"], reference["name"], container["name"]), container
