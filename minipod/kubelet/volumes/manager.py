"""A pod's volumes, planned from its spec and made on this machine.

    pods/<uid>/volumes/kubernetes.io~empty-dir/<name>

Only volumes that a container mounts are set up, as in the kubelet.
"""

from __future__ import annotations

from pathlib import Path

from minipod.api import core_v1, pod_resources, quantity
from minipod.kubelet.pod_names import all_containers
from minipod.kubelet.settings import NodeSettings
from minipod.kubelet.volumes import empty_dir
from minipod.kubelet.volumes.host_path import check_host_path
from minipod.kubelet.volumes.ownership import give_to_group
from minipod.kubelet.volumes.types import MountedVolume, PodVolumes, VolumeError
from minipod.runtime.types import TmpfsMount

PRIVATE_DIRECTORY = 0o750
"""What lies in a pod's directory is open to its containers, and closed to the host's other users."""


def plan_volumes(pod: core_v1.Pod, pod_dir: Path, settings: NodeSettings) -> PodVolumes:
    """Where each volume will be; touches nothing. Raises VolumeError for a type this version does not have."""
    mounted: dict[str, MountedVolume] = {}
    tmpfs: list[TmpfsMount] = []
    for volume in _used(pod):
        if volume.hostPath is not None:
            mounted[volume.name] = MountedVolume(volume.name, "hostPath", Path(volume.hostPath.path))
        elif volume.emptyDir is not None:
            if why := empty_dir.unsupported_medium(volume.emptyDir):
                raise VolumeError(volume.name, why)
            path = pod_dir / "volumes" / empty_dir.DIRECTORY_NAME / volume.name
            mounted[volume.name] = MountedVolume(volume.name, "emptyDir", path)
            if empty_dir.in_memory(volume.emptyDir):
                tmpfs.append(
                    empty_dir.tmpfs_mount(
                        volume.emptyDir,
                        path,
                        fs_group=fs_group(pod),
                        bounds=(settings.host.memory_capacity, _memory_limit(pod)),
                    )
                )
        else:
            raise VolumeError(
                volume.name, f"volume type {volume_type(volume)} is not supported by this version of minipod"
            )
    return PodVolumes(mounted=mounted, tmpfs=tuple(tmpfs))


def blocks(pod: core_v1.Pod, pod_dir: Path) -> bool:
    """Whether setting up may take long: a host path can hang (NFS), a used volume may hold many files."""
    used = _used(pod)
    if any(volume.hostPath for volume in used):
        return True
    return fs_group(pod) is not None and (pod_dir / "volumes").exists()


def set_up_volumes(
    pod: core_v1.Pod, pod_dir: Path, settings: NodeSettings, *, change_group: bool = True
) -> PodVolumes:
    """Make what is missing, check what must be there. Idempotent. Raises VolumeError, OSError.

    `change_group`: apply fsGroup to volumes that already hold files; not while containers use them.
    """
    plan = plan_volumes(pod, pod_dir, settings)
    for volume in _used(pod):
        if volume.hostPath is not None:
            if why := check_host_path(volume.hostPath):
                raise VolumeError(volume.name, why)
        elif volume.emptyDir is not None and not empty_dir.in_memory(volume.emptyDir):
            _set_up_directory(pod, volume, plan.mounted[volume.name].path, change_group=change_group)
    return plan


def make_pod_directories(pod_dir: Path) -> None:
    """The pod's own directory, closed to the host's users. Idempotent; raises OSError."""
    for path in (pod_dir.parent, pod_dir):
        try:
            path.mkdir(mode=PRIVATE_DIRECTORY, parents=True)
        except FileExistsError:
            pass


def fs_group(pod: core_v1.Pod) -> int | None:
    context = pod.spec.securityContext
    return context.fsGroup if context else None


def volume_type(volume: core_v1.Volume) -> str:
    """The name of the field that is set: "configMap"."""
    return next(
        (
            field
            for field in volume.__struct_fields__
            if field != "name" and getattr(volume, field) is not None
        ),
        "emptyDir",
    )


def _set_up_directory(pod: core_v1.Pod, volume: core_v1.Volume, path: Path, *, change_group: bool) -> None:
    assert volume.emptyDir is not None
    group = fs_group(pod)
    try:
        path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        made = empty_dir.make_directory(path, empty_dir.directory_mode(volume.emptyDir, group), group)
        if not made and group is not None and change_group:
            context = pod.spec.securityContext
            policy = context.fsGroupChangePolicy if context else None
            give_to_group(path, group, only_on_root_mismatch=policy == "OnRootMismatch")
    except OSError as error:
        raise VolumeError(volume.name, f"{error.strerror}: {error.filename or path}") from error


def _used(pod: core_v1.Pod) -> list[core_v1.Volume]:
    names = {mount.name for container in all_containers(pod) for mount in container.volumeMounts}
    return [volume for volume in pod.spec.volumes if volume.name in names]


def _memory_limit(pod: core_v1.Pod) -> int:
    """Bytes; 0 when the pod as a whole has none."""
    return quantity.value(pod_resources.pod_ceilings(pod).get("memory", "0"))
