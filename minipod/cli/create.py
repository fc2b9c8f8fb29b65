"""`minipod create`: new objects from files, or a namespace by name."""

from __future__ import annotations

import functools
import json
from typing import Any

import click

from minipod.api.documents import Document
from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.errors import CommandError
from minipod.cli.manifest_verbs import Manifest, Outcome, Outcomes, resolve
from minipod.cli.session import Session

USAGE = "name the files to create from with -f, or write: create namespace NAME"


@click.command("create", cls=Verb)
@click.argument("words", nargs=-1, metavar="[namespace NAME]")
@options.filename()
@options.output("json|yaml|name|jsonpath=...")
@options.dry_run()
@options.validate()
@options.flag("--save-config", help="Keep the manifest in an annotation, as apply does.")
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    output: str,
    dry_run: str,
    validate: str,
    save_config: bool,
) -> None:
    """Create objects; it is an error if one is there already.

    \b
    minipod create -f pod.yaml             minipod create namespace web
    """
    outcomes = Outcomes(output, dry_run)
    manifests = [
        resolve(session, document) for document in _documents(words, filenames, recursive=recursive)
    ]
    query = {"fieldValidation": validate.capitalize(), "dryRun": "All" if dry_run == "server" else None}

    def act(manifest: Manifest) -> Outcome:
        obj = _with_config(manifest.obj) if save_config else manifest.obj
        if dry_run == "client":
            return Outcome("created", obj)
        return Outcome("created", session.api.create(manifest.collection, obj, query))

    for manifest in manifests:
        outcomes.attempt(manifest, "creating", functools.partial(act, manifest))
    outcomes.finish()


def _documents(words: tuple[str, ...], filenames: tuple[str, ...], *, recursive: bool) -> list[Document]:
    from minipod.cli.files import read_objects

    if bool(words) == bool(filenames):
        raise CommandError(USAGE)
    if filenames:
        return read_objects(filenames, recursive=recursive)
    if len(words) != 2 or words[0] not in ("namespace", "ns", "namespaces"):
        raise CommandError(USAGE)
    from minipod.api.documents import parse

    # A quoted scalar: whatever the name is, the server judges it.
    return parse(
        f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {json.dumps(words[1])}\n", "command line"
    )


def _with_config(obj: dict[str, Any]) -> dict[str, Any]:
    from minipod.cli.apply import with_last_applied

    return with_last_applied(obj)
