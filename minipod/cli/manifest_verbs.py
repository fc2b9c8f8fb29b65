"""What apply, create and delete -f have in common: an object of a file, where it goes, and how errors name it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minipod.api.documents import Document, DocumentError
from minipod.cli.discovery import ApiResource
from minipod.cli.errors import CommandError, ReportedError, refused, server_error
from minipod.cli.session import Session

if TYPE_CHECKING:
    from minipod.api.errors import StatusError

PATH = re.compile(r"\b(?:metadata|spec|status)(?:\.[A-Za-z0-9_]+|\[[^\]]*\])+")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as written, and the resource it is of."""

    document: Document
    resource: ApiResource
    namespace: str
    obj: dict[str, Any]

    @property
    def name(self) -> str:
        return str((self.obj.get("metadata") or {}).get("name") or "")

    @property
    def path(self) -> str:
        return self.resource.path(self.namespace, self.name)

    @property
    def collection(self) -> str:
        return self.resource.path(self.namespace)

    @property
    def label(self) -> str:
        return self.resource.label(self.name)


def resolve(session: Session, document: Document) -> Manifest:
    """Find the resource and fill in the namespace. Raises CommandError, DocumentError."""
    value = document.value
    try:
        resource = session.discovery.by_kind(value["apiVersion"], value["kind"])
    except CommandError as error:
        raise DocumentError(f"{document.source}:{document.line}: {error}") from error
    metadata = dict(value.get("metadata") or {})
    if not resource.namespaced:
        return Manifest(document, resource, "", {**value, "metadata": metadata})
    stated = metadata.get("namespace")
    if stated and session.namespace and stated != session.namespace:
        raise CommandError(
            f'{document.source}:{document.line}: the namespace "{stated}" of the object does not match '
            f'--namespace "{session.namespace}"'
        )
    namespace = str(stated or session.current_namespace)
    return Manifest(
        document, resource, namespace, {**value, "metadata": {**metadata, "namespace": namespace}}
    )


def require_name(manifest: Manifest) -> None:
    """What apply and delete look an object up by."""
    if not manifest.name:
        document = manifest.document
        raise DocumentError(f"{document.source}:{document.line}: metadata.name is not set")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one manifest: a word such as "created", and the object as the server has it."""

    word: str
    obj: Any


class Outcomes:
    """Prints what became of each object, or the objects themselves, and remembers whether any failed."""

    def __init__(self, output: str, dry_run: str = "none") -> None:
        """Raises CommandError when there is no such output format."""
        self._suffix = {"client": " (dry run)", "server": " (server dry run)"}.get(dry_run, "")
        self._render: Callable[[Any], str] | None = None
        self._objects: list[Any] = []
        self._failed = False
        if output:
            from minipod.cli.output.objects import renderer

            self._render = renderer(output)

    def attempt(self, manifest: Manifest, doing: str, act: Callable[[], Outcome]) -> None:
        """Do it; an answer of the server that is an error is printed and does not stop the others."""
        try:
            outcome = act()
        except Exception as error:
            refusal = refused(error)
            if refusal is None:
                raise
            report(refusal, manifest, doing)
            self._failed = True
            return
        if self._render is None:
            name = outcome.obj["metadata"].get("name") or manifest.name
            print(f"{manifest.resource.label(name)} {outcome.word}{self._suffix}", flush=True)
        else:
            self._objects.append(outcome.obj)

    def finish(self) -> None:
        """Print what was kept back. Raises ReportedError when anything failed."""
        if self._render is not None and self._objects:
            from minipod.cli.output.objects import as_list

            single = len(self._objects) == 1
            sys.stdout.write(self._render(self._objects[0] if single else as_list(self._objects)))
        if self._failed:
            raise ReportedError


def report(error: StatusError, manifest: Manifest, verb: str) -> None:
    """Print what the server refused, and where in the file the fields are that it names."""
    source = manifest.document.source
    print(server_error(error, doing=f'error when {verb} "{source}"'), file=sys.stderr)
    for line in (*places(error, manifest.document), *getattr(error, "__notes__", ())):
        print(f"  {line}", file=sys.stderr)


def places(error: StatusError, document: Document) -> list[str]:
    """`pod.yaml:7:5: spec.containers[0].imagee` for each field the error names and the file has."""
    causes = error.details.causes if error.details else []
    paths = dict.fromkeys([cause.field for cause in causes if cause.field] or PATH.findall(error.message))
    found = [(path, document.locate(path)) for path in paths]
    return [f"{document.source}:{at[0]}:{at[1]}: {path}" for path, at in found if at is not None]
