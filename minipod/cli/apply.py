"""`minipod apply`: create what is not there, patch what is there and differs."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.discovery import found_or
from minipod.cli.files import read_objects
from minipod.cli.manifest_verbs import Manifest, Outcome, Outcomes, require_name, resolve
from minipod.cli.session import Session, warn
from minipod.cli.three_way_merge import LAST_APPLIED, three_way_merge_patch
from minipod.client.http import MERGE_PATCH, Query

REPLACE = "with --force, apply deletes the object and creates it again"


@dataclass(frozen=True, slots=True)
class _How:
    dry_run: str
    validate: str
    force: bool

    @property
    def query(self) -> Query:
        return {
            "fieldManager": "minipod-apply",
            "fieldValidation": self.validate.capitalize(),
            "dryRun": "All" if self.dry_run == "server" else None,
        }


@click.command("apply", cls=Verb)
@options.filename(required=True)
@options.output("json|yaml|name|jsonpath=...")
@options.dry_run()
@options.validate()
@options.flag("--force", help="Delete and create again what cannot be changed in place.")
@click.pass_obj
def command(
    session: Session,
    filenames: tuple[str, ...],
    recursive: bool,
    output: str,
    dry_run: str,
    validate: str,
    force: bool,
) -> None:
    """Make the objects in files exist as the files say.

    \b
    minipod apply -f pod.yaml              cat pod.yaml | minipod apply -f -
    minipod apply -R -f manifests/         minipod apply -f pod.yaml --dry-run=server
    """
    outcomes = Outcomes(output, dry_run)
    manifests = [resolve(session, document) for document in read_objects(filenames, recursive=recursive)]
    for manifest in manifests:
        require_name(manifest)
    how = _How(dry_run, validate, force)
    for manifest in manifests:
        outcomes.attempt(manifest, "applying", functools.partial(_apply, session, manifest, how))
    outcomes.finish()


def _apply(session: Session, manifest: Manifest, how: _How) -> Outcome:
    wanted = with_last_applied(manifest.obj)
    current = found_or(lambda: session.api.get(manifest.path), None)
    if current is None:
        if how.dry_run == "client":
            return Outcome("created", wanted)
        return Outcome("created", session.api.create(manifest.collection, wanted, how.query))
    return _update(session, manifest, wanted, current, how)


def _update(
    session: Session, manifest: Manifest, wanted: dict[str, Any], current: dict[str, Any], how: _How
) -> Outcome:
    original = last_applied(current)
    if original is None:
        warn(
            f"{manifest.label} was not made by apply: it lacks the {LAST_APPLIED} annotation, which is added now; "
            "fields that this manifest no longer has stay as they are"
        )
    patch = three_way_merge_patch(original, wanted, current)
    if not patch:
        return Outcome("unchanged", current)
    if current["metadata"].get("deletionTimestamp"):
        warn(f"{manifest.label} is being deleted; the changes go with it")
    if how.dry_run == "client":
        return Outcome("configured", current)
    try:
        changed = session.api.patch(manifest.path, patch, how.query, content_type=MERGE_PATCH)
    except Exception as error:
        refused = getattr(error, "reason", "") in ("Invalid", "Conflict")
        if not refused or not how.force:
            if refused and "may not change" in str(error):
                error.add_note(REPLACE)
            raise
        changed = _replace(session, manifest, wanted, how)
    same = changed["metadata"].get("resourceVersion") == current["metadata"].get("resourceVersion")
    return Outcome("unchanged" if same and how.dry_run == "none" else "configured", changed)


def _replace(session: Session, manifest: Manifest, wanted: dict[str, Any], how: _How) -> Any:
    """Delete, wait until it is gone, create."""
    from minipod.cli.deletion import delete_and_wait

    if how.dry_run != "server":
        delete_and_wait(session, manifest.resource, manifest.namespace, manifest.name)
    return session.api.create(manifest.collection, wanted, how.query)


def with_last_applied(obj: dict[str, Any]) -> dict[str, Any]:
    """The object with an annotation that holds it as it was written."""
    annotations = {k: v for k, v in (obj["metadata"].get("annotations") or {}).items() if k != LAST_APPLIED}
    metadata = {**obj["metadata"], "annotations": annotations}
    plain = {**obj, "metadata": metadata}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    return {**obj, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: text}}}


def last_applied(current: dict[str, Any]) -> dict[str, Any] | None:
    """What was applied before; None when nothing was, or when the annotation is no JSON object."""
    text = (current["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        value = json.loads(text) if text else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
