"""The runtime's vocabulary: sandboxes and containers, as the CRI names them.

Values only. The runtime knows no Pod: whoever calls it (the kubelet) has already turned a Pod into a
SandboxConfig and one OCI runtime-spec document per container. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class NamespaceMode(StrEnum):
    """Where a namespace comes from (CRI NamespaceMode): the pod's infra process, the host, or each container."""

    POD = "pod"
    NODE = "node"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpfsMount:
    """A tmpfs mounted at `target` in the shim's private mount namespace (Memory emptyDir, /dev/shm)."""

    target: Path
    options: str = "mode=0755"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubPathMount:
    """`subpath` below `volume`, resolved so that no symlink can lead outside it, bound at `target`.

    A missing directory is made (as kubelet does); a file or directory found there is bound as it is.
    """

    volume: Path
    subpath: str
    target: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayRootfs:
    """A container's root: read-only image layers (uppermost first) below a private writable layer."""

    lower: tuple[Path, ...]
    upper: Path
    work: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """What one pod sandbox needs. `cgroup` is relative to the cgroup2 mount."""

    uid: str
    name: str
    namespace: str
    attempt: int = 0
    hostname: str
    cgroup: str
    network: NamespaceMode = NamespaceMode.POD
    ipc: NamespaceMode = NamespaceMode.POD
    pid: NamespaceMode = NamespaceMode.CONTAINER
    sysctls: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[TmpfsMount, ...] = ()
    resources: Mapping[str, str] = field(default_factory=dict)
    """cgroup v2 file -> value for the pod's own cgroup, e.g. {"memory.max": "1048576"}."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Opaque to the runtime; kept on disk and handed back, so the caller needs no store of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerConfig:
    """One attempt at one container. `oci` is a runtime-spec config.json whose root.path is "rootfs"."""

    name: str
    attempt: int
    id: str
    oci: Mapping[str, Any]
    rootfs: OverlayRootfs
    subpaths: tuple[SubPathMount, ...] = ()
    log_path: Path
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    pid_of: str = ""
    """Id of a running container of the sandbox whose pid namespace this one joins, whatever `oci` says about it. When
    that container's first process ends, this one is killed by the kernel."""


class SandboxState(StrEnum):
    READY = "ready"
    NOT_READY = "notReady"


class ContainerState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRecord:
    """How a process ended. `code` is what Kubernetes reports: 128 + signal when a signal ended it."""

    code: int
    signal: int = 0
    started_at: int
    finished_at: int
    oom_killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailure:
    """A failure between fork and exec: which stage, which errno, on what operand."""

    stage: str
    errno: int
    operand: str
    message: str

    @property
    def of_subpath(self) -> bool:
        """A volume's subPath could not be had (`operand`): the container as it was asked for cannot be made."""
        return self.stage == "subPath"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStatus:
    id: str
    name: str
    attempt: int
    state: ContainerState
    pid: int = 0
    created_at: int
    started_at: int = 0
    exit: ExitRecord | None = None
    failure: StartFailure | None = None
    log_path: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """What could not be done as asked without keeping the container from running (sentences for a user)."""
    resources: Mapping[str, str] = field(default_factory=dict)
    """cgroup v2 file -> value in force, as last written (at creation, or by an update)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxStatus:
    uid: str
    name: str
    namespace: str
    attempt: int
    state: SandboxState
    created_at: int
    shim_pid: int
    infra_pid: int
    cgroup: str
    containers: tuple[ContainerStatus, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)
    """cgroup v2 file -> value in force in the pod's own cgroup, as last written."""

    def container(self, container_id: str) -> ContainerStatus | None:
        return next((c for c in self.containers if c.id == container_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecConfig:
    """One more process in a running container. `process` is an OCI runtime-spec "process" object.

    With `tty`, everything the process prints arrives as stdout.
    """

    process: Mapping[str, Any]
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """`code` is 128 + signal when a signal ended the process; `message` is set when it never started."""

    code: int
    signal: int = 0
    message: str = ""
