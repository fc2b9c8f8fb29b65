"""The drop-in directory: whatever manifests lie in it exist in the API, and go when the file goes.

A file is the owner of its objects: they carry its name and a hash of what it said as annotations, so that a daemon
that was away knows what to change, and what to delete because its file vanished. A changed Pod that cannot be
updated is replaced by a new one, as the kubelet does with static pods.

https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncinotify import Inotify, Mask

from minipod.api import codec, documents
from minipod.api.errors import StatusError
from minipod.api.scheme import NAMESPACES, RESOURCES, Resource, by_kind
from minipod.client.interface import Client, EventType

log = logging.getLogger(__name__)

FILE_ANNOTATION = "minipod.io/manifest-file"
HASH_ANNOTATION = "minipod.io/manifest-hash"

SUFFIXES = (".yaml", ".yml", ".json")
CHANGES = Mask.CLOSE_WRITE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE

MAX_FILE_SIZE = 3 * 1024 * 1024
"""Bytes; what the API server takes in one request."""


class ManifestError(ValueError):
    """A file that cannot be used as it is. The message names file and place."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object a file asks for."""

    file: str
    resource: Resource
    namespace: str
    name: str
    document: dict[str, Any]
    hash: str

    @property
    def key(self) -> Key:
        return (self.resource, self.namespace, self.name)


Key = tuple[Resource, str, str]
"""What an object is found by: resource, namespace, name."""


# -- decisions ---------------------------------------------------------------------------------------------------


def parse_file(name: str, text: str) -> list[Wanted]:
    """The objects one file asks for. Raises ManifestError."""
    try:
        return [_wanted(name, document.value) for document in documents.parse(text, name)]
    except documents.DocumentError as error:
        raise ManifestError(str(error)) from error


def _wanted(name: str, document: dict[str, Any]) -> Wanted:
    resource = by_kind(str(document.get("apiVersion", "")), str(document.get("kind", "")))
    if resource is None:
        raise ManifestError(
            f"{name}: no kind {document.get('kind')!r} in version {document.get('apiVersion')!r} is served here"
        )
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ManifestError(f"{name}: metadata.name: Required value")
    said = hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()[:16]
    annotations = {**(metadata.get("annotations") or {}), FILE_ANNOTATION: name, HASH_ANNOTATION: said}
    namespace = str(metadata.get("namespace") or "default") if resource.namespaced else ""
    metadata = {**metadata, "annotations": annotations, **({"namespace": namespace} if namespace else {})}
    return Wanted(name, resource, namespace, metadata["name"], {**document, "metadata": metadata}, said)


# -- acting ------------------------------------------------------------------------------------------------------


class ManifestDirectory:
    """Keeps the API as the directory says. Runs until cancelled."""

    def __init__(self, directory: Path, client: Client) -> None:
        self._directory = directory
        self._client = client

    async def run(self) -> None:
        """Apply everything once, then whatever changes. A bad file is logged and left for its next change."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with Inotify() as inotify:
            inotify.add_watch(self._directory, CHANGES)
            await self._sync(self._files(), everything=True)
            async for event in inotify:
                if event.mask & Mask.Q_OVERFLOW:
                    await self._sync(self._files(), everything=True)
                elif event.name is not None and event.name.suffix in SUFFIXES:
                    await self._sync([self._directory / event.name])

    def _files(self) -> list[Path]:
        return sorted(p for p in self._directory.iterdir() if p.suffix in SUFFIXES)

    async def _sync(self, files: list[Path], *, everything: bool = False) -> None:
        """Bring about what these files say; with `everything`, also the end of what vanished files had said."""
        owned = await self._owned()
        wanted: list[Wanted] = []
        unreadable = set()
        for file in files:
            try:
                wanted += await asyncio.to_thread(_read, file)
            except ManifestError as error:
                log.error("manifest ignored: %s", error)
                unreadable.add(file.name)
        read = {file.name for file in files} - unreadable
        keep = {want.key for want in wanted}
        for key, obj in owned.items():
            file_name = obj.metadata.annotations[FILE_ANNOTATION]
            vanished = everything and file_name not in unreadable
            if key not in keep and (file_name in read or vanished):
                await self._delete(key, obj)
        for want in sorted(wanted, key=lambda w: w.resource is not NAMESPACES):
            await self._put(want, owned.get(want.key))

    async def _owned(self) -> dict[Key, Any]:
        """The objects that files have in the API."""
        found: dict[Key, Any] = {}
        for resource in RESOURCES:
            for obj in (await self._client.list(resource)).items:
                if FILE_ANNOTATION in obj.metadata.annotations and not obj.metadata.deletionTimestamp:
                    found[resource, obj.metadata.namespace or "", obj.metadata.name] = obj
        return found

    async def _put(self, want: Wanted, present: Any) -> None:
        if present is not None and present.metadata.annotations.get(HASH_ANNOTATION) == want.hash:
            return
        try:
            obj = codec.from_builtins(want.resource.type, want.document)
            if present is None:
                await self._client.create(want.resource, obj)
            else:
                await self._change(want, present, obj)
        except StatusError as error:
            log.error("manifest %s: %s", want.file, error)

    async def _change(self, want: Wanted, present: Any, obj: Any) -> None:
        """Update in place; what may not be changed is deleted, awaited, and made anew."""
        changed = codec.copy(obj)
        changed.metadata.resourceVersion = present.metadata.resourceVersion
        try:
            await self._client.update(want.resource, changed)
            return
        except StatusError as error:
            if error.code != 422:
                raise
        await self._client.create(
            want.resource, _renamed(obj), dry_run=True
        )  # not to lose a good one for a bad one
        await self._delete(want.key, present)
        await self._gone(want, present)
        await self._client.create(want.resource, obj)

    async def _gone(self, want: Wanted, present: Any) -> None:
        watch = self._client.watch(
            want.resource,
            want.namespace,
            resource_version=present.metadata.resourceVersion,
            field_selector=f"metadata.name={want.name}",
        )
        async for event in watch:
            if event.type == EventType.DELETED and event.object.metadata.uid == present.metadata.uid:
                return

    async def _delete(self, key: Key, obj: Any) -> None:
        resource, namespace, name = key
        try:
            await self._client.delete(resource, name, namespace, uid=obj.metadata.uid)
        except StatusError as error:
            if error.code != 404:
                log.error("manifest %s: %s", obj.metadata.annotations[FILE_ANNOTATION], error)


def _renamed(obj: Any) -> Any:
    """A copy whose name is free, to have it checked as a new object."""
    other = codec.copy(obj)
    other.metadata.generateName, other.metadata.name = "check-", None
    return other


def _read(file: Path) -> list[Wanted]:
    """Nothing when the file is gone."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_SIZE + 1)
        if len(data) > MAX_FILE_SIZE:
            raise ManifestError(f"{file.name}: larger than {MAX_FILE_SIZE} bytes")
        return parse_file(file.name, data.decode())
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{file.name}: {error}") from error
