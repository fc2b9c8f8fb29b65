"""From a Pod and an image to what the runtime is asked for: pure, one SandboxConfig and one ContainerConfig each.

The process's world is an OCI runtime-spec config.json (https://github.com/opencontainers/runtime-spec), so that any
OCI runtime could be given the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minipod.api import core_v1, pod_resources
from minipod.images.types import Image
from minipod.kubelet.containers import cgroups
from minipod.kubelet.containers.environment import pod_environment, process_environment
from minipod.kubelet.containers.io_limits import io_files
from minipod.kubelet.containers.oci_mounts import ContainerMounts, container_mounts
from minipod.kubelet.containers.pod_files import HostnameError, PodHostname, pod_hostname
from minipod.kubelet.containers.process import (
    CreateContainerConfigError,
    ProcessUser,
    process_args,
    working_dir,
)
from minipod.kubelet.containers.resources_in_force import LABEL_RESOURCES, recorded
from minipod.kubelet.containers.security import normalize
from minipod.kubelet.containers.security_context import (
    capabilities,
    device_rules,
    no_new_privileges,
    privileged,
    proc_masks,
    read_only_rootfs,
)
from minipod.kubelet.pod_names import AnyContainer, log_directory_name
from minipod.kubelet.settings import NodeSettings
from minipod.kubelet.status.records import (
    LABEL_HASH,
    LABEL_IMAGE,
    LABEL_IMAGE_ID,
    LABEL_PROCESS,
    LABEL_RESTART_DELAY,
    LABEL_STOP_SIGNAL,
    container_hash,
)
from minipod.kubelet.volumes.types import PodVolumes
from minipod.runtime.types import ContainerConfig, NamespaceMode, OverlayRootfs, SandboxConfig, TmpfsMount

OCI_VERSION = "1.2.0"
SHM_SIZE = 64 * 1024 * 1024
MAX_LABELS = 512 * 1024
"""Bytes of labels, mostly the process: they travel whole with each change of the container and are kept per attempt."""

Device = Mapping[str, Any]
"""An OCI linux.devices entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodContext:
    """Where a pod lives on this node. Computed from the Pod alone, so that any later daemon finds it again."""

    uid: str
    pod_dir: Path
    log_dir: Path
    shared_dir: Path
    """hosts, hostname and resolv.conf of the pod, and where its /dev/shm is mounted. Gone after a reboot."""
    cgroup: str
    hostname: PodHostname
    settings: NodeSettings
    problem: str = ""
    """Why no sandbox can be made of this pod whatever the node does, e.g. a name too long for the kernel."""

    @property
    def shm(self) -> Path:
        """The pod's /dev/shm, a tmpfs that only the shim's mount namespace has."""
        return self.shared_dir / "shm"


def pod_context(pod: core_v1.Pod, settings: NodeSettings) -> PodContext:
    """Where the pod lives, also when it cannot live (`problem`): it must be possible to clean up after it."""
    uid = pod.metadata.uid or ""
    hostname, problem = PodHostname("localhost", "localhost"), ""
    try:
        hostname = pod_hostname(pod, cluster_domain=settings.cluster_domain, host=settings.host.hostname)
    except HostnameError as error:
        problem = str(error)
    return PodContext(
        uid=uid,
        pod_dir=settings.data_dir / f"pods/{uid}",
        log_dir=settings.log_dir / log_directory_name(pod),
        shared_dir=settings.run_dir / f"shared/{uid}",
        cgroup=cgroups.pod_cgroup(settings.cgroup_parent, pod),
        hostname=hostname,
        settings=settings,
        problem=problem,
    )


def sandbox_config(
    pod: core_v1.Pod, *, attempt: int, context: PodContext, volumes: PodVolumes
) -> SandboxConfig:
    """Raises IoLimitError for an annotation that cannot be used."""
    spec = pod.spec
    mounts = volumes.tmpfs
    if not spec.hostIPC:
        options = f"nosuid,nodev,noexec,mode=1777,size={SHM_SIZE}"
        mounts = (TmpfsMount(target=context.shm, options=options), *mounts)
    return SandboxConfig(
        uid=context.uid,
        name=pod.metadata.name or "",
        namespace=pod.metadata.namespace or "",
        attempt=attempt,
        hostname=context.hostname.kernel,
        cgroup=context.cgroup,
        network=NamespaceMode.NODE if spec.hostNetwork else NamespaceMode.POD,
        ipc=NamespaceMode.NODE if spec.hostIPC else NamespaceMode.POD,
        pid=_pid_mode(pod),
        sysctls={normalize(s.name): s.value for s in spec.securityContext.sysctls}
        if spec.securityContext
        else {},
        mounts=mounts,
        resources=_pod_files(pod, context.settings),
    )


def _pod_files(pod: core_v1.Pod, settings: NodeSettings) -> dict[str, str]:
    files = cgroups.pod_files(pod, settings.host, pids_limit=settings.pod_pids_limit, policy=settings.limits)
    return files | io_files(pod.metadata.annotations) if "io" in settings.host.controllers else files


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRequest:
    """Everything one attempt at a container is made from. `delay`: the back-off its next restart is under (s)."""

    container: AnyContainer
    image: Image
    user: ProcessUser
    id: str
    attempt: int
    delay: float
    infra_pid: int
    pod_ip: str
    termination_log: Path | None = None
    """The file made for this attempt's termination message (termination_message.make_file)."""
    device_rules: tuple[Device, ...] = ()
    """More than the usual devices: OCI linux.resources.devices entries (devices.volume_devices)."""
    target_id: str = ""
    """For an ephemeral container: id of the running container whose processes it shall see (targetContainerName)."""


def container_config(
    pod: core_v1.Pod,
    request: ContainerRequest,
    *,
    context: PodContext,
    volumes: PodVolumes,
    host_devices: Callable[[], list[Device]] = list,
) -> ContainerConfig:
    """`host_devices` is asked only for a privileged container. Raises CreateContainerConfigError, FieldPathError."""
    container, image = request.container, request.image
    env = pod_environment(pod, container, pod_ip=request.pod_ip, host_ip=context.settings.host_ip)
    mounts = container_mounts(
        container,
        volumes.mounted,
        env,
        etc_dir=context.shared_dir,
        shm=Path("/dev/shm") if pod.spec.hostIPC else context.shm,  # noqa: S108
        subpath_dir=context.pod_dir / f"volume-subpaths/{container.name}/{request.attempt}",
        termination_log=request.termination_log,
    )
    process = _process(pod, request, env, context)
    return ContainerConfig(
        name=container.name,
        attempt=request.attempt,
        id=request.id,
        oci=_oci(pod, request, context, process, mounts, host_devices),
        rootfs=container_rootfs(context, container.name, request.attempt, image),
        subpaths=mounts.subpaths,
        log_path=log_path(context, container.name, request.attempt),
        stdin=bool(container.stdin),
        stdin_once=bool(container.stdinOnce),
        tty=bool(container.tty),
        labels=_labels(request, process),
        pid_of=request.target_id if _pid_mode(pod) is NamespaceMode.CONTAINER else "",
    )


def log_path(context: PodContext, name: str, attempt: int) -> Path:
    return context.log_dir / f"{name}/{attempt}.log"


def attempt_directory(context: PodContext, name: str, attempt: int) -> Path:
    """What one attempt at a container has on disk; the runtime removes it with that attempt."""
    return context.pod_dir / f"containers/{name}/{attempt}"


def container_rootfs(context: PodContext, name: str, attempt: int, image: Image) -> OverlayRootfs:
    """The image's layers below a writable layer of this attempt's own."""
    writable = attempt_directory(context, name, attempt)
    return OverlayRootfs(lower=image.layers, upper=writable / "upper", work=writable / "work")


def lacking_capabilities(container: AnyContainer, settings: NodeSettings) -> tuple[str, ...]:
    """Capabilities the container asks for and this daemon cannot give."""
    return capabilities(container, settings.host.capabilities).lacking


def _process(
    pod: core_v1.Pod, request: ContainerRequest, env: Mapping[str, str], context: PodContext
) -> dict[str, Any]:
    container, image = request.container, request.image
    settings = context.settings
    return {
        "terminal": bool(container.tty),
        "user": request.user.to_oci(),
        "args": process_args(container, image.config, env),
        "env": process_environment(
            image=image.config.get("Env") or (),
            pod=env,
            hostname=context.hostname.kernel,
            home=request.user.home,
            tty=bool(container.tty),
        ),
        "cwd": working_dir(container, image.config),
        "capabilities": capabilities(container, settings.host.capabilities).to_oci(),
        "noNewPrivileges": no_new_privileges(container),
        "oomScoreAdj": pod_resources.oom_score_adj(pod, container, settings.host.memory_capacity),
    }


def _oci(
    pod: core_v1.Pod,
    request: ContainerRequest,
    context: PodContext,
    process: dict[str, Any],
    mounts: ContainerMounts,
    host_devices: Callable[[], list[Device]],
) -> dict[str, Any]:
    container = request.container
    masked, readonly = proc_masks(container)
    return {
        "ociVersion": OCI_VERSION,
        "process": process,
        "root": {"path": "rootfs", "readonly": read_only_rootfs(container)},
        "hostname": context.hostname.kernel,
        "mounts": list(mounts.mounts),
        "linux": {
            "namespaces": _namespaces(pod, request),
            "cgroupsPath": f"/{context.cgroup}/{request.id}",
            "resources": {
                "devices": [*device_rules(container), *request.device_rules],
                "unified": cgroups.container_files(
                    pod, container, context.settings.host, context.settings.limits
                ),
            },
            "devices": host_devices() if privileged(container) else [],
            "maskedPaths": masked,
            "readonlyPaths": readonly,
        },
    }


def _namespaces(pod: core_v1.Pod, request: ContainerRequest) -> list[dict[str, str]]:
    """A type with a path is the infra process's, without one it is new, a type left out is the host's."""
    spec = pod.spec
    shared = []
    if not spec.hostNetwork:
        shared += [("network", "net"), ("uts", "uts")]
    if not spec.hostIPC:
        shared.append(("ipc", "ipc"))
    mode = _pid_mode(pod)
    if mode is NamespaceMode.POD:
        shared.append(("pid", "pid"))
    found = [{"type": type_, "path": f"/proc/{request.infra_pid}/ns/{file}"} for type_, file in shared]
    if mode is NamespaceMode.CONTAINER:
        found.append({"type": "pid"})
    found.append({"type": "mount"})
    if not privileged(request.container):
        found.append({"type": "cgroup"})  # a privileged one manages the host's cgroups, as with containerd
    return found


def _pid_mode(pod: core_v1.Pod) -> NamespaceMode:
    if pod.spec.hostPID:
        return NamespaceMode.NODE
    return NamespaceMode.POD if pod.spec.shareProcessNamespace else NamespaceMode.CONTAINER


def _labels(request: ContainerRequest, process: Mapping[str, Any]) -> dict[str, str]:
    """What a later daemon must know of this container and cannot work out anew (its image may have gone).

    Raises CreateContainerConfigError for what an image or a Pod makes larger than MAX_LABELS.
    """
    container, image = request.container, request.image
    labels = {
        LABEL_HASH: container_hash(container),
        LABEL_IMAGE: container.image or "",
        LABEL_IMAGE_ID: image.id,
        LABEL_RESTART_DELAY: f"{request.delay:g}",
        LABEL_RESOURCES: recorded(container.resources),
        LABEL_PROCESS: json.dumps(process, separators=(",", ":")),
    }
    if signal := stop_signal_name(container, image):
        labels[LABEL_STOP_SIGNAL] = signal
    size = sum(len(value.encode(errors="surrogatepass")) for value in labels.values())
    if size > MAX_LABELS:
        raise CreateContainerConfigError(
            f"container {container.name} of image {container.image}: env, command, args and stop signal take {size} "
            f"bytes, at most {MAX_LABELS} are possible; shorten spec.containers[{container.name}] or the image's config"
        )
    return labels


def stop_signal_name(container: AnyContainer, image: Image) -> str:
    """lifecycle.stopSignal over the image's StopSignal; "" means SIGTERM."""
    own = container.lifecycle.stopSignal if container.lifecycle else None
    return own or str(image.config.get("StopSignal") or "")


def exec_process(labels: Mapping[str, str], command: tuple[str, ...], *, tty: bool) -> dict[str, Any]:
    """The OCI process object for one more command in a container, from what was kept of its own."""
    process: dict[str, Any] = json.loads(labels.get(LABEL_PROCESS) or "{}")
    process["args"] = list(command)
    process["terminal"] = tty
    if tty and not any(re.match("TERM=", entry) for entry in process.get("env", ())):
        process["env"] = [*process.get("env", ()), "TERM=xterm"]
    return process
