"""`minipod why`: why a pod is not Ready, and everything that happened to it, in order."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.errors import CommandError
from minipod.cli.node_pages import proxy_path
from minipod.cli.pods import pod_name
from minipod.cli.session import Session

FORMATS = ("json", "yaml", "jsonpath", "jsonpath-file", "jsonpath-as-json")
"""A history is no object with a name, and has no columns."""


@click.command("why", cls=Verb)
@click.argument("pod", metavar="POD", shell_complete=options.completer("pods"))
@click.option("--uid", default="", metavar="UID", help="This one of several pods that had the name.")
@options.output("json|yaml|jsonpath=...")
@click.pass_obj
def command(session: Session, pod: str, uid: str, output: str) -> None:
    """Say why a pod is not Ready, and what happened to it since it was created.

    The first line names the cause; below it stands the pod's life: scheduling, image, volumes, sandbox, network,
    containers, hooks, probes, exits with their last lines of log, back-offs and deletion, with durations. The last
    ends of every container are kept over restarts, and a while after the pod is deleted.

    \b
    minipod why web                        minipod why web -n shop -o json
    """
    if output and output.partition("=")[0] not in FORMATS:
        raise CommandError(f'unknown output format "{output}"; there are {"|".join(FORMATS)}')
    name = pod_name(session, pod)
    page = session.api.get(
        proxy_path(session, f"pods/{session.current_namespace}/{name}/history"),
        {"uid": uid} if uid else None,
    )
    if output:
        from minipod.cli.output.objects import renderer

        sys.stdout.write(renderer(output)(page))
        return
    from minipod.cli.terminal import window_size

    size = window_size(sys.stdout.fileno()) if sys.stdout.isatty() else None
    sys.stdout.write(render(page, width=size[0] if size else 0))


def render(page: dict[str, Any], *, width: int = 0) -> str:
    """The page of a node as text for people; lines longer than `width` are folded, 0: none is."""
    from minipod.cli.output.tables import printable

    found = page["diagnosis"]
    lines = [printable(found["headline"])]
    if found.get("look"):
        lines[0] += f" -- see: {printable(found['look'])}"
    entries = page.get("entries") or ()
    if entries:
        lines += ["", *_timeline(entries, page["now"], width)]
    if others := page.get("others"):
        newest = [printable(uid) for uid in reversed(others[-MAX_OTHERS:])]
        lines += ["", "Other pods had this name:", *(f"  --uid {uid}" for uid in newest)]
    return "\n".join(lines) + "\n"


MAX_OTHERS = 5
"""How many of the other pods of a name are listed."""
HEADER = ("AGO", "AFTER", "TOOK", "STEP", "CONTAINER", "WHAT")
MIN_TEXT = 24
"""Columns that the last column gets on a terminal however narrow."""


def _timeline(entries: Sequence[dict[str, Any]], now: str, width: int) -> list[str]:
    from minipod.api.timestamps import to_epoch_us

    rows: list[tuple[str, ...]] = [HEADER]
    below: list[list[str]] = [[]]
    before = to_epoch_us(entries[0]["time"])
    for entry in entries:
        at = to_epoch_us(entry["time"])
        rows.append(_row(entry, at - before, to_epoch_us(now) - at))
        below.append(_last_words(entry))
        before = at
    used = [i for i, title in enumerate(HEADER) if any(row[i] for row in rows[1:]) or title == "WHAT"]
    widths = [max(len(row[i]) for row in rows) for i in used[:-1]]
    indent = sum(widths) + 2 * len(widths)
    room = max(width - indent, MIN_TEXT) if width else 0
    lines = []
    for row, words in zip(rows, below, strict=True):
        cells = [row[i].ljust(w) for i, w in zip(used, widths, strict=False)]
        text = [*_fold(row[-1], room), *(line for word in words for line in _fold(word, room))]
        lines.append("  ".join([*cells, text[0]]).rstrip())
        lines += [(" " * indent + line).rstrip() for line in text[1:]]
    return lines


def _row(entry: dict[str, Any], after: int, ago: int) -> tuple[str, ...]:
    from minipod.cli.durations import human_duration
    from minipod.cli.output.tables import printable

    rough = entry["time"].endswith(".000000Z")  # the API's times have whole seconds
    message = printable(entry["message"])
    if entry.get("count", 1) > 1:
        message += f" (x{entry['count']})"
    return (
        human_duration(max(ago, 0) / 1e6),
        f"~{human_duration(after / 1e6)}" if rough else f"+{duration(after / 1e6)}",
        duration(entry["seconds"]) if entry.get("seconds") is not None else "",
        printable(entry["step"]) + ("!" if entry.get("failed") else ""),
        printable(entry.get("container") or ""),
        message,
    )


def _last_words(entry: dict[str, Any]) -> list[str]:
    """What a container left: its termination message, or the end of its log."""
    from minipod.cli.output.tables import printable

    lines = list(entry.get("log") or ())
    message = (entry.get("detail") or {}).get("message") if entry["step"] == "exit" else ""
    said = [line for line in (message or "").splitlines() if line.strip()]
    if said and not set(said) <= {*lines} and said[0] not in entry["message"]:
        lines += [f"termination message: {said[0]}", *said[1:]]
    return [f"| {printable(str(line))}" for line in lines]


def _fold(text: str, room: int) -> list[str]:
    """At spaces where there are some."""
    if not room or len(text) <= room:
        return [text]
    import textwrap

    return textwrap.wrap(text, room, break_on_hyphens=False) or [""]


def duration(seconds: float) -> str:
    """Three figures at most: 850us, 12ms, 3.2s, 45s, then as in the AGE column."""
    if seconds < 0.001:
        return f"{max(round(seconds * 1e6), 0)}us" if seconds > 0 else "0s"
    if seconds < 0.9995:
        return f"{round(seconds * 1e3)}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    from minipod.cli.durations import human_duration

    return human_duration(seconds + 0.5)
