"""What a container mounts: which volume, where, how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from minipod.api.core_v1 import Container, EphemeralContainer, Volume, VolumeDevice, VolumeMount
from minipod.api.field_errors import FieldError, forbidden, invalid, not_found, not_supported, required
from minipod.api.validation import rules

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")


def volume_mounts(
    container: Container | EphemeralContainer, volumes: Mapping[str, Volume], path: str
) -> Iterator[FieldError]:
    """`volumes`: the pod's sound volumes by name."""
    seen: set[str] = set()
    device_names = {device.name for device in container.volumeDevices}
    device_paths = {device.devicePath for device in container.volumeDevices}
    privileged = container.securityContext is not None and bool(container.securityContext.privileged)
    for index, mount in enumerate(container.volumeMounts):
        inner = f"{path}[{index}]"
        if not mount.name:
            yield required(f"{inner}.name")
        if mount.name not in volumes:
            yield not_found(f"{inner}.name", mount.name)
        if not mount.mountPath:
            yield required(f"{inner}.mountPath")
        if mount.mountPath in seen:
            yield invalid(f"{inner}.mountPath", mount.mountPath, "must be unique")
        seen.add(mount.mountPath)
        yield from rules.no_nul(f"{inner}.mountPath", mount.mountPath)
        if mount.name in device_names:
            yield invalid(f"{inner}.name", mount.name, "must not already exist in volumeDevices")
        if mount.mountPath in device_paths:
            why = "must not already exist as a path in volumeDevices"
            yield invalid(f"{inner}.mountPath", mount.mountPath, why)
        yield from _sub_path(mount, volumes.get(mount.name), inner)
        yield from _propagation(mount, inner, privileged=privileged)
        yield from _recursive_read_only(mount, f"{inner}.recursiveReadOnly")


def volume_devices(
    devices: Sequence[VolumeDevice], mounts: Sequence[VolumeMount], volumes: Mapping[str, Volume], path: str
) -> Iterator[FieldError]:
    mounted_names = {mount.name for mount in mounts}
    mounted_paths = {mount.mountPath for mount in mounts}
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    for index, device in enumerate(devices):
        inner = f"{path}[{index}]"
        volume = volumes.get(device.name)
        if not device.name:
            yield required(f"{inner}.name")
        if device.name in seen_names:
            yield invalid(f"{inner}.name", device.name, "must be unique")
        if volume is None:
            yield not_found(f"{inner}.name", device.name)
        elif volume.persistentVolumeClaim is None and volume.ephemeral is None:
            why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            yield invalid(f"{inner}.name", device.name, why)
        if not device.devicePath:
            yield required(f"{inner}.devicePath")
        if device.devicePath in seen_paths:
            yield invalid(f"{inner}.devicePath", device.devicePath, "must be unique")
        if ".." in device.devicePath.split("/"):
            yield invalid(f"{inner}.devicePath", device.devicePath, "can not contain backsteps ('..')")
        if device.name in mounted_names:
            yield invalid(f"{inner}.name", device.name, "must not already exist in volumeMounts")
        if device.devicePath in mounted_paths:
            why = "must not already exist as a path in volumeMounts"
            yield invalid(f"{inner}.devicePath", device.devicePath, why)
        seen_names.add(device.name)
        seen_paths.add(device.devicePath)


def _sub_path(mount: VolumeMount, volume: Volume | None, path: str) -> Iterator[FieldError]:
    for field, text in (("subPath", mount.subPath), ("subPathExpr", mount.subPathExpr)):
        if not text:
            continue
        if volume is not None and volume.image is not None:
            yield invalid(f"{path}.{field}", text, "not allowed in image volume sources")
        yield from rules.descending_path(f"{path}.{field}", text)
        yield from rules.no_nul(f"{path}.{field}", text)
    if mount.subPath and mount.subPathExpr:
        why = "subPathExpr and subPath are mutually exclusive"
        yield invalid(f"{path}.subPathExpr", mount.subPathExpr, why)


def _propagation(mount: VolumeMount, path: str, *, privileged: bool) -> Iterator[FieldError]:
    if mount.mountPropagation is None:
        return
    inner = f"{path}.mountPropagation"
    if mount.mountPropagation not in _PROPAGATIONS:
        yield not_supported(inner, mount.mountPropagation, _PROPAGATIONS)
    elif mount.mountPropagation == "Bidirectional" and not privileged:
        yield forbidden(inner, "Bidirectional mount propagation is available only to privileged containers")


def _recursive_read_only(mount: VolumeMount, path: str) -> Iterator[FieldError]:
    mode = mount.recursiveReadOnly
    if mode is None or mode == "Disabled":
        return
    if mode not in _RECURSIVE:
        yield not_supported(path, mode, _RECURSIVE)
        return
    if not mount.readOnly:
        yield forbidden(path, "may only be specified when readOnly is true")
    if mount.mountPropagation not in (None, "None"):
        yield forbidden(path, "may only be specified when mountPropagation is None or not specified")
