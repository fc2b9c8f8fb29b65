"""`minipod delete`: by name, by label or by file; waits until what was deleted is gone."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from minipod.cli import deletion, options
from minipod.cli.command import Verb
from minipod.cli.discovery import ApiResource
from minipod.cli.durations import parse_duration
from minipod.cli.errors import CommandError, ReportedError, refused, server_error
from minipod.cli.selection import Target, parse_targets
from minipod.cli.session import Session, warn
from minipod.cli.watching import WaitTimeoutError

FORCED = (
    "Immediate deletion does not wait for confirmation that the running resource has been terminated. "
    "The resource may continue to run on the cluster indefinitely."
)


@dataclass(frozen=True, slots=True)
class _Doomed:
    resource: ApiResource
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class _How:
    """`grace_period` in seconds, None: each object's own; `timeout` in seconds, None: no limit."""

    grace_period: int | None
    force: bool
    wait: bool
    timeout: float | None
    dry_run: str
    ignore_not_found: bool
    names_only: bool


@click.command("delete", cls=Verb)
@click.argument(
    "words", nargs=-1, metavar="TYPE NAME... | TYPE/NAME...", shell_complete=options.completer("targets")
)
@options.filename()
@options.selector()
@options.field_selector()
@options.flag("--all", "everything", help="Every object of the type in the namespace.")
@options.all_namespaces()
@click.option(
    "--grace-period", type=int, default=-1, metavar="SECONDS", help="Time to end; default: the object's own."
)
@options.flag("--force", help="Remove from the API at once; do not wait for the processes to end.")
@options.flag("--now", help="The same as --grace-period=1.")
@options.flag("--wait", default=True, help="Wait until the objects are gone (the default).")
@options.timeout("0s", "Give up waiting after this time; 0s: never.")
@options.flag("--ignore-not-found", help="What does not exist counts as deleted (always so with --all).")
@options.dry_run()
@options.output("name")
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    selector: str,
    field_selector: str,
    everything: bool,
    all_namespaces: bool,
    grace_period: int,
    force: bool,
    now: bool,
    wait: bool,
    timeout: str,
    ignore_not_found: bool,
    dry_run: str,
    output: str,
) -> None:
    """Delete objects.

    \b
    minipod delete pod web                 minipod delete -f pod.yaml
    minipod delete pods -l app=web         minipod delete pods --all
    """
    if output not in ("", "name"):
        raise CommandError(f'unknown output format "{output}"; delete prints -o name, or nothing special')
    how = _How(
        grace_period=_grace(grace_period, force=force, now=now),
        force=force,
        wait=wait and not force and dry_run == "none",
        timeout=parse_duration(timeout, "--timeout") or None,
        dry_run=dry_run,
        ignore_not_found=ignore_not_found or everything,
        names_only=output == "name",
    )
    chosen = _Chosen(words, filenames, recursive, selector, field_selector, everything, all_namespaces)
    doomed = _find(session, chosen)
    if force:
        warn(FORCED)
    if not doomed:
        print("No resources found")
    _delete(session, doomed, how)


def _grace(grace_period: int, *, force: bool, now: bool) -> int | None:
    """Seconds to send, None for the object's own. Raises CommandError for flags that contradict each other."""
    if now:
        if grace_period != -1:
            raise CommandError("--now and --grace-period cannot be used together")
        grace_period = 1
    if force and grace_period > 0:
        raise CommandError("--force and --grace-period greater than 0 cannot be used together")
    if force:
        return 0
    if grace_period == 0:
        # Without --force nobody asks to be rid of a record while its processes may still run.
        return 1
    return None if grace_period < 0 else grace_period


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What the command line names."""

    words: tuple[str, ...]
    filenames: tuple[str, ...]
    recursive: bool
    selector: str
    field_selector: str
    everything: bool
    all_namespaces: bool


def _find(session: Session, chosen: _Chosen) -> list[_Doomed]:
    if chosen.filenames:
        if chosen.words:
            raise CommandError("name objects, or files with -f; not both")
        return _in_files(session, chosen)
    targets = parse_targets(chosen.words, session.discovery.find_all)
    by_search = bool(chosen.selector or chosen.field_selector or chosen.everything)
    named = any(target.names for target in targets)
    if named and by_search:
        raise CommandError("names cannot be combined with a selector or --all")
    if named and chosen.all_namespaces:
        raise CommandError(
            "an object cannot be named together with --all-namespaces; name its namespace with -n"
        )
    if not named and not by_search:
        raise CommandError("name the objects, or choose them with -l, --field-selector or --all")
    return [doomed for target in targets for doomed in _of_target(session, target, chosen)]


def _in_files(session: Session, chosen: _Chosen) -> list[_Doomed]:
    from minipod.cli.files import read_objects
    from minipod.cli.manifest_verbs import require_name, resolve

    manifests = [resolve(session, d) for d in read_objects(chosen.filenames, recursive=chosen.recursive)]
    for manifest in manifests:
        require_name(manifest)
    return [_Doomed(m.resource, m.namespace, m.name) for m in manifests]


def _of_target(session: Session, target: Target, chosen: _Chosen) -> list[_Doomed]:
    namespace = session.current_namespace if target.resource.namespaced else ""
    if target.names:
        return [_Doomed(target.resource, namespace, name) for name in target.names]
    query = {"labelSelector": chosen.selector or None, "fieldSelector": chosen.field_selector or None}
    where = "" if chosen.all_namespaces else namespace
    found = session.api.get(target.resource.path(where), query)["items"] or []
    return [
        _Doomed(target.resource, item["metadata"].get("namespace", ""), item["metadata"]["name"])
        for item in found
    ]


def _delete(session: Session, doomed: list[_Doomed], how: _How) -> None:
    """Ask for all deletions, then wait for each."""
    asked: list[tuple[_Doomed, str]] = []
    failed = False
    for one in doomed:
        try:
            asked.append((one, _ask(session, one, how)))
        except Exception as error:
            refusal = refused(error)
            if refusal is None:
                raise
            if not (how.ignore_not_found and refusal.reason == "NotFound"):
                print(server_error(refusal), file=sys.stderr)
                failed = True
    if how.wait:
        _wait(session, asked, how.timeout)
    if failed:
        raise ReportedError


def _ask(session: Session, one: _Doomed, how: _How) -> str:
    uid = ""
    if how.dry_run != "client":
        uid = deletion.delete(
            session,
            one.resource,
            one.namespace,
            one.name,
            grace_period=how.grace_period,
            dry_run=how.dry_run == "server",
        )
    print(_sentence(one, how), flush=True)
    return uid


def _sentence(one: _Doomed, how: _How) -> str:
    if how.names_only:
        return one.resource.label(one.name)
    suffix = {"client": " (dry run)", "server": " (server dry run)"}.get(how.dry_run, "")
    word = "force deleted" if how.force else "deleted"
    return f'{one.resource.label("").rstrip("/")} "{one.name}" {word}{suffix}'


def _wait(session: Session, asked: list[tuple[Any, str]], timeout: float | None) -> None:
    deadline = None if timeout is None else time.monotonic() + timeout
    for one, uid in asked:
        try:
            deletion.wait_until_gone(session, one.resource, one.namespace, one.name, uid, deadline=deadline)
        except WaitTimeoutError:
            label = f"{one.resource.plural}/{one.name}"
            raise CommandError(
                f"timed out waiting for the condition on {label}: it is still being deleted"
            ) from None
