"""What is mounted in a container: OCI runtime-spec mounts from the Pod's volumeMounts and the files all pods have.

The system mounts are those containerd gives a container
(https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#default-filesystems).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minipod.api import core_v1
from minipod.kubelet.containers.environment import expand
from minipod.kubelet.containers.process import CreateContainerConfigError
from minipod.kubelet.containers.security_context import privileged, read_only_rootfs
from minipod.kubelet.pod_names import AnyContainer
from minipod.kubelet.volumes.types import MountedVolume
from minipod.runtime.types import SubPathMount

Mount = dict[str, Any]

_PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerMounts:
    """OCI mounts in the order to be made, and the subpaths among their sources that have to be resolved first."""

    mounts: tuple[Mount, ...]
    subpaths: tuple[SubPathMount, ...] = ()


def container_mounts(
    container: AnyContainer,
    volumes: Mapping[str, MountedVolume],
    env: Mapping[str, str],
    *,
    etc_dir: Path,
    shm: Path,
    subpath_dir: Path,
    termination_log: Path | None = None,
) -> ContainerMounts:
    """All mounts of a container. `etc_dir` has hosts, hostname and resolv.conf; subpaths are bound below `subpath_dir`.

    `termination_log` is bound at terminationMessagePath, over a volume there. What the Pod mounts at a place replaces
    what would be there otherwise.
    Raises CreateContainerConfigError for a volume or a subPath that cannot be used.
    """
    own: list[Mount] = []
    subpaths: list[SubPathMount] = []
    for index, mount in enumerate(container.volumeMounts):
        volume = volumes.get(mount.name)
        if volume is None:
            raise CreateContainerConfigError(
                f'cannot find volume "{mount.name}" to mount into container "{container.name}"'
            )
        source = volume.path
        subpath = _subpath(mount, env)
        if subpath:
            source = subpath_dir / str(index)
            subpaths.append(SubPathMount(volume=volume.path, subpath=subpath, target=source))
        own.append(_bind(mount, source, read_only=bool(mount.readOnly) or volume.read_only))
    if termination_log is not None and container.terminationMessagePath:
        place = _absolute(container.terminationMessagePath)
        own.append(_mount(place, "bind", str(termination_log), ["rbind", "rprivate", "rw"]))
    taken = {mount["destination"] for mount in own}
    given = [*_pod_mounts(container, etc_dir, shm), *own]
    given.sort(key=_depth)
    system = [mount for mount in system_mounts(container) if mount["destination"] not in taken]
    return ContainerMounts(
        mounts=(*system, *(m for m in given if m in own or m["destination"] not in taken)),
        subpaths=tuple(subpaths),
    )


def system_mounts(container: AnyContainer) -> list[Mount]:
    """/proc, /dev and what else every container has, read-only unless privileged."""
    access = [] if privileged(container) else ["ro"]
    safe = ["nosuid", "noexec", "nodev"]
    return [
        _mount("/proc", "proc", "proc", safe),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        _mount("/dev/mqueue", "mqueue", "mqueue", safe),
        _mount("/sys", "sysfs", "sysfs", [*safe, *access]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*safe, "relatime", *access]),
    ]


def _pod_mounts(container: AnyContainer, etc_dir: Path, shm: Path) -> list[Mount]:
    access = "ro" if read_only_rootfs(container) else "rw"
    files = [
        _mount(f"/etc/{name}", "bind", f"{etc_dir}/{name}", ["rbind", "rprivate", access])
        for name in ("hosts", "hostname", "resolv.conf")
    ]
    # The pod's tmpfs has the flags already; the host's own, bound here with its ipc namespace, may not.
    memory = ["rbind", "rprivate", "rw", "nosuid", "nodev", "noexec"]
    return [*files, _mount("/dev/shm", "bind", str(shm), memory)]  # noqa: S108


def _bind(mount: core_v1.VolumeMount, source: Path, *, read_only: bool) -> Mount:
    access = "rw"
    if read_only:
        access = "rro" if mount.recursiveReadOnly in ("Enabled", "IfPossible") else "ro"
    propagation = _PROPAGATION.get(mount.mountPropagation or "", "rprivate")
    destination = _absolute(mount.mountPath)
    return _mount(destination, "bind", str(source), ["rbind", propagation, access])


def _absolute(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


def _subpath(mount: core_v1.VolumeMount, env: Mapping[str, str]) -> str:
    """The path below the volume, checked; the runtime resolves it so that no symlink leads out."""
    subpath = mount.subPath or ""
    if mount.subPathExpr:
        missing: list[str] = []
        subpath = expand(mount.subPathExpr, _strict(env, missing))
        if missing:
            raise CreateContainerConfigError(
                f"failed to expand subPathExpr: missing value for {', '.join(sorted(set(missing)))}"
            )
    if subpath.startswith("/"):
        raise CreateContainerConfigError(f"error SubPath `{subpath}` must not be an absolute path")
    if ".." in subpath.split("/"):
        raise CreateContainerConfigError(f"unable to provision SubPath `{subpath}`: must not contain '..'")
    return subpath


def _strict(env: Mapping[str, str], missing: list[str]) -> Callable[[str], str]:
    def look_up(name: str) -> str:
        value = env.get(name, "")
        if not value:
            missing.append(name)
        return value

    return look_up


def _mount(destination: str, type_: str, source: str, options: list[str]) -> Mount:
    return {"destination": destination, "type": type_, "source": source, "options": options}


def _depth(mount: Mount) -> int:
    """Parents before children; a stable sort keeps the Pod's order otherwise."""
    destination: str = mount["destination"]
    return 0 if destination == "/" else destination.count("/")
