"""Volumes made of files: keys of ConfigMaps and Secrets, the downward API, tokens, and their projection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minipod.api.core_v1 import (
    ClusterTrustBundleProjection,
    DownwardAPIVolumeFile,
    KeyToPath,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    VolumeProjection,
)
from minipod.api.field_errors import FieldError, forbidden, invalid, required
from minipod.api.validation import env, rules

_FIELD_PATHS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
_SHORTEST_TOKEN_SECONDS = 600


def keys(items: Sequence[KeyToPath], path: str) -> Iterator[FieldError]:
    for index, item in enumerate(items):
        inner = f"{path}[{index}]"
        if not item.key:
            yield required(f"{inner}.key")
        yield from _file_path(item.path, f"{inner}.path")
        yield from rules.file_mode(f"{inner}.mode", item.mode)


def downward_files(items: Sequence[DownwardAPIVolumeFile], path: str) -> Iterator[FieldError]:
    for index, item in enumerate(items):
        inner = f"{path}[{index}]"
        yield from _file_path(item.path, f"{inner}.path")
        yield from rules.file_mode(f"{inner}.mode", item.mode)
        if item.fieldRef is not None:
            yield from env.field_ref(item.fieldRef, _FIELD_PATHS, f"{inner}.fieldRef")
            if item.resourceFieldRef is not None:
                why = "fieldRef and resourceFieldRef can not be specified simultaneously"
                yield invalid(inner, "resource", why)
        elif item.resourceFieldRef is not None:
            reference = item.resourceFieldRef
            yield from env.resource_field_ref(
                reference, f"{inner}.resourceFieldRef", container_required=True
            )
        else:
            yield required(inner, "one of fieldRef and resourceFieldRef is required")


def projected(volume: ProjectedVolumeSource, path: str) -> Iterator[FieldError]:
    yield from rules.file_mode(f"{path}.defaultMode", volume.defaultMode)
    seen: set[str] = set()
    for index, source in enumerate(volume.sources):
        inner = f"{path}.sources[{index}]"
        yield from _source(source, inner)
        for file in _paths(source):
            if file in seen:
                yield invalid(path, file, "conflicting duplicate paths")
            seen.add(file)


def _source(source: VolumeProjection, path: str) -> Iterator[FieldError]:
    given = [field for field in source.__struct_fields__ if getattr(source, field) is not None]
    if len(given) > 1:
        yield forbidden(path, "may not specify more than 1 volume type per source")
    for field in ("secret", "configMap"):
        reference = getattr(source, field)
        if reference is not None:
            if not reference.name:
                yield required(f"{path}.{field}.name")
            yield from keys(reference.items, f"{path}.{field}.items")
    if source.downwardAPI is not None:
        yield from downward_files(source.downwardAPI.items, f"{path}.downwardAPI.items")
    if source.serviceAccountToken is not None:
        yield from _token(source.serviceAccountToken, f"{path}.serviceAccountToken")
    if source.clusterTrustBundle is not None:
        yield from _trust_bundle(source.clusterTrustBundle, f"{path}.clusterTrustBundle")


def _paths(source: VolumeProjection) -> Iterator[str]:
    for files in (source.secret, source.configMap, source.downwardAPI):
        if files is not None:
            yield from (item.path for item in files.items if item.path)
    if source.serviceAccountToken is not None:
        yield source.serviceAccountToken.path
    if source.clusterTrustBundle is not None:
        yield source.clusterTrustBundle.path


def _token(token: ServiceAccountTokenProjection, path: str) -> Iterator[FieldError]:
    seconds = token.expirationSeconds
    if seconds is not None and seconds < _SHORTEST_TOKEN_SECONDS:
        yield invalid(
            f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"
        )
    if seconds is not None and seconds > 2**32:
        yield invalid(
            f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
        )
    yield from _file_path(token.path, f"{path}.path")


def _trust_bundle(bundle: ClusterTrustBundleProjection, path: str) -> Iterator[FieldError]:
    if bundle.name is not None and bundle.signerName is not None:
        yield invalid(path, bundle.name, "only one of name and signerName may be used")
    elif bundle.name is None and bundle.signerName is None:
        yield required(path, "either name or signerName must be specified")
    yield from _file_path(bundle.path, f"{path}.path")


def _file_path(text: str, path: str) -> Iterator[FieldError]:
    if not text:
        yield required(path)
    else:
        yield from rules.unreserved_path(path, text)
        yield from rules.no_nul(path, text)
