"""`minipod wait`: block until objects have a condition, a field has a value, or they are gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from minipod.cli import jsonpath, options
from minipod.cli.command import Verb
from minipod.cli.discovery import ApiResource, found_or
from minipod.cli.durations import parse_duration
from minipod.cli.errors import CommandError, ReportedError, refused, server_error
from minipod.cli.selection import parse_targets
from minipod.cli.session import Session
from minipod.cli.watching import FOREVER, WaitTimeoutError, wait_for_object
from minipod.client.http import Query

Obj = dict[str, Any]

FORMS = "condition=NAME[=VALUE], jsonpath='{.path}'[=VALUE], create or delete"


@dataclass(frozen=True, slots=True)
class Awaited:
    """What --for asks: `holds` says whether an object is there yet; None is an object that does not exist."""

    holds: Callable[[Obj | None], bool]
    absent_is_error: bool = True


@dataclass(frozen=True, slots=True)
class _Subject:
    resource: ApiResource
    namespace: str
    name: str


@click.command("wait", cls=Verb)
@click.argument(
    "words", nargs=-1, metavar="TYPE NAME... | TYPE/NAME...", shell_complete=options.completer("targets")
)
@options.filename()
@click.option("--for", "what", required=True, metavar="WHAT", help=f"What to wait for: {FORMS}.")
@options.timeout("30s", "Give up after this time; 0s: look once, negative: a week.")
@options.selector()
@options.field_selector()
@options.flag("--all", "everything", help="Every object of the type.")
@options.all_namespaces()
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    what: str,
    timeout: str,
    selector: str,
    field_selector: str,
    everything: bool,
    all_namespaces: bool,
) -> None:
    """Wait until objects are in a state.

    \b
    minipod wait --for=condition=Ready pod/web --timeout=20s
    minipod wait --for=jsonpath='{.status.phase}'=Succeeded pod/job
    minipod wait --for=delete pod/web
    """
    awaited = parse_for(what)
    if filenames:
        subjects = _in_files(session, filenames, recursive=recursive)
    else:
        query: Query | None = None
        if selector or field_selector or everything or all_namespaces:
            query = {"labelSelector": selector or None, "fieldSelector": field_selector or None}
        namespace = "" if all_namespaces else session.current_namespace
        subjects = _named(session, words, query, namespace)
    if not subjects and awaited.absent_is_error:
        raise CommandError("no matching resources found")
    seconds = parse_duration(timeout, "--timeout")
    deadline = time.monotonic() + (FOREVER if seconds < 0 else seconds)
    # Every one is waited for, though an earlier one failed: the user learns about all of them.
    results = [_wait(session, subject, awaited, deadline) for subject in subjects]
    if not all(results):
        raise ReportedError


def parse_for(text: str) -> Awaited:
    """Read what follows --for=. Raises CommandError, JSONPathError."""
    kind, _, rest = text.partition("=")
    if text == "delete":
        return Awaited(lambda obj: obj is None, absent_is_error=False)
    if text == "create":
        return Awaited(lambda obj: obj is not None, absent_is_error=False)
    if kind == "condition" and rest:
        name, _, status = rest.partition("=")
        return Awaited(lambda obj: obj is not None and has_condition(obj, name, status or "true"))
    if kind == "jsonpath" and rest:
        path, value = _split_jsonpath(rest)
        template = jsonpath.parse(jsonpath.relax(path))
        return Awaited(lambda obj: obj is not None and _has_value(template, obj, value))
    raise CommandError(f'unrecognized condition "{text}": expected {FORMS}')


def has_condition(obj: Obj, name: str, value: str) -> bool:
    """Whether the condition has the value, both whatever their case, and is about the object's newest generation."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type", "").lower() != name.lower():
            continue
        observed = (
            condition.get("observedGeneration") or (obj.get("status") or {}).get("observedGeneration") or 0
        )
        if 0 < observed < obj["metadata"].get("generation", 0):
            return False
        return bool(condition.get("status", "").lower() == value.lower())
    return False


def _split_jsonpath(text: str) -> tuple[str, str | None]:
    """`'{.a}'=b` -> ("{.a}", "b"); without `=`, any value will do. A filter may hold `==`: it ends before `}`."""
    brace = text.rfind("}")
    equals = text.find("=", brace + 1)
    if equals < 0:
        return text.strip("'\""), None
    value = text[equals + 1 :]
    if not value:
        raise CommandError(
            "jsonpath wait has to have a value after =, such as jsonpath='{.status.phase}'=Running"
        )
    return text[:equals].strip("'\""), value.strip("'\"")


def _has_value(template: jsonpath.Template, obj: Obj, value: str | None) -> bool:
    found = jsonpath.find(template, obj)
    if not found:
        return False
    if len(found) > 1:
        raise CommandError("given jsonpath expression matches more than one value")
    if isinstance(found[0], dict | list):
        raise CommandError("jsonpath leads to a nested object or list and cannot be compared")
    return value is None or jsonpath.render(template, obj) == value


def _in_files(session: Session, filenames: tuple[str, ...], *, recursive: bool) -> list[_Subject]:
    from minipod.cli.files import read_objects
    from minipod.cli.manifest_verbs import resolve

    manifests = [resolve(session, document) for document in read_objects(filenames, recursive=recursive)]
    return [_Subject(m.resource, m.namespace, m.name) for m in manifests]


def _named(session: Session, words: tuple[str, ...], query: Query | None, namespace: str) -> list[_Subject]:
    subjects: list[_Subject] = []
    for target in parse_targets(words, session.discovery.find_all):
        resource = target.resource
        if target.names and query is not None:
            raise CommandError("names cannot be combined with a selector or --all")
        if not target.names and query is None:
            raise CommandError("name the objects, or choose them with -l, --field-selector or --all")
        subjects += [_Subject(resource, session.current_namespace, name) for name in target.names]
        if not target.names:
            for item in session.api.get(resource.path(namespace), query)["items"] or ():
                metadata = item["metadata"]
                subjects.append(_Subject(resource, metadata.get("namespace", ""), metadata["name"]))
    return subjects


def _wait(session: Session, subject: _Subject, awaited: Awaited, deadline: float) -> bool:
    resource = subject.resource
    latest: Obj | None = None
    seen = False

    def done(obj: Obj | None) -> bool:
        nonlocal latest, seen
        if obj is None and seen and awaited.absent_is_error:
            raise CommandError(f'{resource.plural} "{subject.name}" was deleted while it was waited for')
        latest, seen = obj or latest, seen or obj is not None
        return awaited.holds(obj)

    path = resource.path(subject.namespace, subject.name)
    try:
        first = (
            session.api.get(path)
            if awaited.absent_is_error
            else found_or(lambda: session.api.get(path), None)
        )
        if first is None and awaited.holds(None):
            return True
        if not done(first):
            wait_for_object(session, resource, subject.namespace, subject.name, done, deadline=deadline)
    except WaitTimeoutError:
        label = f"{resource.plural}/{subject.name}"
        print(f"error: timed out waiting for the condition on {label}{why_not(latest)}", file=sys.stderr)
        return False
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return False
    except Exception as error:
        refusal = refused(error)
        if refusal is None:
            raise
        print(server_error(refusal), file=sys.stderr)
        return False
    print(f"{resource.label(subject.name)} condition met", flush=True)
    return True


def why_not(obj: Obj | None) -> str:
    """What a pod's status says about why it is not there yet, one indented line each."""
    status = (obj or {}).get("status") or {}
    lines = [] if "phase" not in status else [f"phase {status['phase']}"]
    for container in (
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
        *(status.get("ephemeralContainerStatuses") or ()),
    ):
        state = (
            (container.get("state") or {}).get("waiting")
            or (container.get("state") or {}).get("terminated")
            or {}
        )
        said = ": ".join(filter(None, (state.get("reason"), state.get("message"))))
        if said and said != "Completed":
            lines.append(f"container {container['name']}: {said}")
    return "".join(f"\n  {line}" for line in lines)
