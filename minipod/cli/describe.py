"""`minipod describe`: one object or several at length, with the events about them."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.discovery import ApiResource
from minipod.cli.errors import CommandError, ReportedError, refused, server_error
from minipod.cli.selection import Target, parse_targets
from minipod.cli.session import Session

Obj = dict[str, Any]


@click.command("describe", cls=Verb)
@click.argument(
    "words", nargs=-1, metavar="TYPE [NAME...] | TYPE/NAME...", shell_complete=options.completer("targets")
)
@options.filename()
@options.selector()
@options.all_namespaces()
@options.flag("--show-events", default=True, help="Show the events about each object (the default).")
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    selector: str,
    all_namespaces: bool,
    show_events: bool,
) -> None:
    """Show details of objects and what happened to them.

    \b
    minipod describe pod web               minipod describe pods -l app=web
    minipod describe node                  minipod describe -f pod.yaml
    """
    finder = _Finder(session, selector, all_namespaces=all_namespaces)
    found = finder.in_files(filenames, recursive=recursive) if filenames else finder.named(words)
    for at, (resource, obj) in enumerate(found):
        if at:
            sys.stdout.write("\n\n")
        sys.stdout.write(describe(session, resource, obj, events=show_events))
    if finder.failed:
        raise ReportedError
    if not found:
        where = "" if all_namespaces else f" in {session.current_namespace} namespace."
        print(f"No resources found{where}", file=sys.stderr)


def describe(session: Session, resource: ApiResource, obj: Obj, *, events: bool = True) -> str:
    """The description of one object. Asks for its events, and for a node's pods."""
    now = time.time()
    about = _events(session, obj) if events and resource.kind != "Namespace" else []
    if resource.api_version == "v1" and resource.kind == "Pod":
        from minipod.cli.descriptions.pod import describe_pod

        return describe_pod(obj, about, now)
    if resource.api_version == "v1" and resource.kind == "Node":
        from minipod.cli.descriptions.node import describe_node

        return describe_node(obj, _pods_on(session, obj["metadata"]["name"]), about, now)
    from minipod.cli.descriptions import other

    if resource.api_version == "v1" and resource.kind == "Namespace":
        return other.describe_namespace(obj)
    return other.describe_any(obj, about, now)


def _events(session: Session, obj: Obj) -> list[Obj]:
    metadata = obj["metadata"]
    fields = {
        "involvedObject.kind": obj.get("kind"),
        "involvedObject.name": metadata["name"],
        "involvedObject.namespace": metadata.get("namespace"),
        # The kubelet's own events give its node's name for the uid.
        "involvedObject.uid": None if obj.get("kind") == "Node" else metadata.get("uid"),
    }
    selector = ",".join(f"{key}={value}" for key, value in fields.items() if value)
    events = session.discovery.find("events")
    items: list[Obj] = session.api.get(
        events.path(metadata.get("namespace", "")), {"fieldSelector": selector}
    )["items"]
    return items or []


def _pods_on(session: Session, node: str) -> list[Obj]:
    selector = f"spec.nodeName={node},status.phase!=Failed,status.phase!=Succeeded"
    pods = session.discovery.find("pods")
    items: list[Obj] = session.api.get(pods.path(), {"fieldSelector": selector})["items"]
    return items or []


class _Finder:
    """Collects the objects to describe; a name that is not there is reported and does not stop the others."""

    def __init__(self, session: Session, selector: str, *, all_namespaces: bool) -> None:
        self._session = session
        self._selector = selector
        self._all_namespaces = all_namespaces
        self.failed = False

    def named(self, words: tuple[str, ...]) -> list[tuple[ApiResource, Obj]]:
        targets = parse_targets(words, self._session.discovery.find_all)
        if self._all_namespaces and any(target.names for target in targets):
            raise CommandError(
                "an object cannot be named together with --all-namespaces; name its namespace with -n"
            )
        return [found for target in targets for found in self._of(target)]

    def in_files(self, filenames: tuple[str, ...], *, recursive: bool) -> list[tuple[ApiResource, Obj]]:
        from minipod.cli.files import read_objects
        from minipod.cli.manifest_verbs import require_name, resolve

        found = []
        for document in read_objects(filenames, recursive=recursive):
            manifest = resolve(self._session, document)
            require_name(manifest)
            found += self._get(manifest.resource, manifest.path)
        return found

    def _of(self, target: Target) -> list[tuple[ApiResource, Obj]]:
        resource = target.resource
        namespace = "" if self._all_namespaces else self._session.current_namespace
        if target.names:
            return [
                one for name in target.names for one in self._get(resource, resource.path(namespace, name))
            ]
        from minipod.cli.get import complete_items

        answer = self._session.api.get(resource.path(namespace), {"labelSelector": self._selector or None})
        return [(resource, obj) for obj in complete_items(answer)]

    def _get(self, resource: ApiResource, path: str) -> list[tuple[ApiResource, Obj]]:
        try:
            return [(resource, self._session.api.get(path))]
        except Exception as error:
            refusal = refused(error)
            if refusal is None:
                raise
            print(server_error(refusal), file=sys.stderr)
            self.failed = True
            return []
