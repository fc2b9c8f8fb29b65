"""Volumes: named, unique, each with exactly one source, and each source complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from minipod.api import names
from minipod.api.core_v1 import EmptyDirVolumeSource, HostPathVolumeSource, Pod, Volume
from minipod.api.field_errors import FieldError, duplicate, forbidden, invalid, not_supported, required
from minipod.api.validation import projections, rules

# The first one found counts, a later one is an error; Kubernetes looks at these two first.
_FIRST = ("emptyDir", "hostPath")
_SOURCES = (*_FIRST, *(field for field in Volume.__struct_fields__ if field not in (*_FIRST, "name")))

_REQUIRED: dict[str, tuple[str, ...]] = {
    "awsElasticBlockStore": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "azureFile": ("secretName", "shareName"),
    "cephfs": ("monitors",),
    "cinder": ("volumeID",),
    "configMap": ("name",),
    "csi": ("driver",),
    "flexVolume": ("driver",),
    "gcePersistentDisk": ("pdName",),
    "gitRepo": ("repository",),
    "glusterfs": ("endpoints", "path"),
    "image": ("reference",),
    "iscsi": ("targetPortal", "iqn"),
    "nfs": ("server", "path"),
    "persistentVolumeClaim": ("claimName",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "quobyte": ("registry", "volume"),
    "rbd": ("monitors", "image"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "secret": ("secretName",),
    "vsphereVolume": ("volumePath",),
}
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_MEDIA = ("", "HugePages", "Memory")


def volumes(pod: Pod, path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, volume in enumerate(pod.spec.volumes):
        inner = f"{path}[{index}]"
        yield from _source(volume, inner)
        yield from rules.named(f"{inner}.name", volume.name, names.dns_label)
        if volume.name and volume.name in seen:
            yield duplicate(f"{inner}.name", volume.name)
        seen.add(volume.name)
    yield from _ephemeral_claims(pod, path)


def by_name(found: Sequence[Volume]) -> dict[str, Volume]:
    """The volumes a mount may refer to."""
    return {volume.name: volume for volume in found}


def _source(volume: Volume, path: str) -> Iterator[FieldError]:
    given = [source for source in _SOURCES if getattr(volume, source) is not None]
    if not given:
        yield required(path, "must specify a volume type")
        return
    for extra in given[1:]:
        yield forbidden(f"{path}.{extra}", "may not specify more than 1 volume type")
    kind = given[0]
    source, inner = getattr(volume, kind), f"{path}.{kind}"
    for field in _REQUIRED.get(kind, ()):
        if not getattr(source, field):
            yield required(f"{inner}.{field}")
    yield from _details(kind, source, inner)


def _details(kind: str, source: Any, path: str) -> Iterator[FieldError]:
    match kind:
        case "emptyDir":
            yield from _empty_dir(source, path)
        case "hostPath":
            yield from _host_path(source, path)
        case "secret" | "configMap":
            yield from rules.file_mode(f"{path}.defaultMode", source.defaultMode)
            yield from projections.keys(source.items, f"{path}.items")
        case "downwardAPI":
            yield from rules.file_mode(f"{path}.defaultMode", source.defaultMode)
            yield from projections.downward_files(source.items, f"{path}.items")
        case "projected":
            yield from projections.projected(source, path)
        case "gitRepo":
            yield from rules.descending_path(f"{path}.directory", source.directory or "")
        case "nfs":
            if source.path and not source.path.startswith("/"):
                yield invalid(f"{path}.path", source.path, "must be an absolute path")
        case "iscsi":
            if not 0 <= source.lun <= 255:
                yield invalid(f"{path}.lun", source.lun, "must be between 0 and 255, inclusive")
        case "fc":
            if not source.targetWWNs and not source.wwids:
                yield required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
        case "flocker":
            if not source.datasetName and not source.datasetUUID:
                yield required(path, "one of datasetName and datasetUUID is required")
        case "ephemeral":
            yield from _ephemeral(source, path)
        case "image":
            policies = ("Always", "IfNotPresent", "Never")
            yield from rules.one_of(f"{path}.pullPolicy", source.pullPolicy, policies)


def _empty_dir(source: EmptyDirVolumeSource, path: str) -> Iterator[FieldError]:
    medium = source.medium or ""
    if medium not in _MEDIA and not medium.startswith("HugePages-"):
        yield not_supported(f"{path}.medium", medium, _MEDIA)
    if source.sizeLimit is not None:
        yield from rules.readable_quantity(f"{path}.sizeLimit", source.sizeLimit)


def _host_path(source: HostPathVolumeSource, path: str) -> Iterator[FieldError]:
    if not source.path:
        yield required(f"{path}.path")
        return
    yield from islice(_host_path_faults(source.path, f"{path}.path"), 1)
    if source.type is not None and source.type not in _HOST_PATH_TYPES:
        yield not_supported(f"{path}.type", source.type, _HOST_PATH_TYPES)


def _host_path_faults(text: str, path: str) -> Iterator[FieldError]:
    """Kubernetes' API takes a relative path too, but it means nothing that a node could mount."""
    yield from rules.no_backsteps(path, text)
    yield from rules.no_nul(path, text)
    if not text.startswith("/"):
        yield invalid(path, text, "must be an absolute path")


def _ephemeral(source: Any, path: str) -> Iterator[FieldError]:
    if source.volumeClaimTemplate is None:
        yield required(f"{path}.volumeClaimTemplate")
    elif not source.volumeClaimTemplate.spec.accessModes:
        yield required(f"{path}.volumeClaimTemplate.spec.accessModes", "at least 1 access mode is required")


def _ephemeral_claims(pod: Pod, path: str) -> Iterator[FieldError]:
    """A claim made for this pod cannot also be mounted by its name."""
    made = {
        f"{pod.metadata.name}-{volume.name}" for volume in pod.spec.volumes if volume.ephemeral is not None
    }
    for index, volume in enumerate(pod.spec.volumes):
        claim = volume.persistentVolumeClaim
        if claim is not None and claim.claimName in made:
            why = "must not reference a PVC that gets created for an ephemeral volume"
            yield invalid(f"{path}[{index}].persistentVolumeClaim.claimName", claim.claimName, why)
