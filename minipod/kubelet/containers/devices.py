"""The host's device nodes: all of them for a privileged container, single ones for whom the Pod allows them.

A hostPath volume of type CharDevice or BlockDevice puts a node where the container sees it. Opening it is another
matter: the container's device rules forbid that, as in Kubernetes, unless the Pod says in an annotation that it may.

    minipod.io/allow-devices: fuse,scratch-disk        names of volumes
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minipod.api import core_v1
from minipod.kubelet.containers.security_context import privileged
from minipod.kubelet.pod_names import AnyContainer

ALLOW_DEVICES = "minipod.io/allow-devices"
"""Annotation of a Pod: the hostPath volumes whose devices its containers may open."""

_DEVICE_TYPES = ("CharDevice", "BlockDevice")
_LEFT_OUT = {"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"}
"""Below /dev: what is the container's own (containerd leaves out the same)."""


@dataclass(frozen=True, slots=True)
class VolumeDevices:
    """OCI linux.resources.devices entries to add, and sentences for the user on what stays forbidden."""

    rules: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


def volume_devices(pod: core_v1.Pod, container: AnyContainer) -> VolumeDevices:
    """What a container may do with the devices among its volumes. Looks at the nodes; nothing for a privileged one."""
    allowed = allowed_volumes(pod)
    if privileged(container) or not (allowed or _device_volumes(pod)):
        return VolumeDevices()
    volumes = _device_volumes(pod)
    rules: list[Mapping[str, Any]] = []
    warnings = []
    for mount in container.volumeMounts:
        path = volumes.get(mount.name)
        if path is None:
            if mount.name in allowed:
                warnings.append(_not_a_device(mount.name))
        elif mount.name not in allowed:
            warnings.append(_not_allowed(mount.name, path, allowed))
        elif (rule := _rule(path, read_only=bool(mount.readOnly))) is not None:
            rules.append(rule)
    return VolumeDevices(tuple(rules), tuple(warnings))


def allowed_volumes(pod: core_v1.Pod) -> list[str]:
    """The volumes that the annotation names."""
    text = pod.metadata.annotations.get(ALLOW_DEVICES, "")
    return [name for part in text.split(",") if (name := part.strip())]


def _device_volumes(pod: core_v1.Pod) -> dict[str, str]:
    return {
        volume.name: volume.hostPath.path
        for volume in pod.spec.volumes
        if volume.hostPath is not None and volume.hostPath.type in _DEVICE_TYPES
    }


def _rule(path: str, *, read_only: bool) -> Mapping[str, Any] | None:
    try:
        found = _device(path, os.stat(path))
    except OSError:  # the mount of it will say so
        return None
    if found is None:
        return None
    number = {name: found[name] for name in ("type", "major", "minor")}
    return {"allow": True, "access": "r" if read_only else "rw", **number}


def _not_allowed(name: str, path: str, allowed: list[str]) -> str:
    wanted = ",".join([*allowed, name])
    return (
        f'volume "{name}": the container may not open the device {path}, as in Kubernetes; '
        f"to let it, annotate the pod with {ALLOW_DEVICES}: {wanted}"
    )


def _not_a_device(name: str) -> str:
    return f'{ALLOW_DEVICES}: volume "{name}" is no hostPath of type {" or ".join(_DEVICE_TYPES)}: nothing is allowed'


def host_devices(dev: Path = Path("/dev")) -> list[Mapping[str, Any]]:
    """OCI linux.devices entries for every device node below `dev`, symlinks left out."""
    found: list[Mapping[str, Any]] = []
    for directory, subdirectories, names in os.walk(dev):
        if directory == str(dev):
            subdirectories[:] = [name for name in subdirectories if name not in _LEFT_OUT]
        for name in names:
            if directory == str(dev) and name in _LEFT_OUT:
                continue
            path = os.path.join(directory, name)
            try:
                entry = _device(path, os.lstat(path))
            except FileNotFoundError:
                continue
            if entry is not None:
                found.append(entry)
    return found


def _device(path: str, info: os.stat_result) -> dict[str, Any] | None:
    kind = "c" if stat.S_ISCHR(info.st_mode) else "b" if stat.S_ISBLK(info.st_mode) else ""
    if not kind:
        return None
    return {
        "path": path,
        "type": kind,
        "major": os.major(info.st_rdev),
        "minor": os.minor(info.st_rdev),
        "fileMode": stat.S_IMODE(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
    }
