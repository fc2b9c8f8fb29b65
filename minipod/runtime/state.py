"""What a sandbox leaves on disk for whoever comes later: a new daemon, or a daemon whose shim was killed.

RUN_DIR/pods/<uid>/sandbox.json is there before anything of the sandbox is; container-<id>.json before its process.
Files are replaced whole (rename), so a reader sees the old or the new state. A process is (pid, start time).
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from minipod.linux import process
from minipod.runtime import wire
from minipod.runtime.errors import ProtocolError, RuntimeServiceError
from minipod.runtime.types import ContainerStatus, OverlayRootfs, SandboxConfig, SandboxState, SandboxStatus

SANDBOX_FILE = "sandbox.json"
SOCKET = "shim.sock"
SHIM_LOG = "shim.log"
_CONTAINER_FILE = re.compile(r"container-(.+)\.json")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
SHIM_LEAF = "shim"
"""The leaf of a pod's cgroup that shim and infra process live in; the others are named after their container's id."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process for as long as the machine is up: a pid alone may be reused."""

    pid: int
    start_time: int


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """`cgroup` is the pod's cgroup as an absolute path. `shim` is None until the shim itself has written."""

    config: SandboxConfig
    cgroup: Path
    created_at: int
    state: SandboxState = SandboxState.NOT_READY
    shim: ProcessIdentity | None = None
    infra: ProcessIdentity | None = None


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    status: ContainerStatus
    rootfs: OverlayRootfs


for _cls in (ProcessIdentity, SandboxRecord, ContainerRecord):
    wire.register(_cls)


class StateDirectory:
    """The files of one sandbox."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_sandbox(self, record: SandboxRecord) -> None:
        self._write(SANDBOX_FILE, record)

    def read_sandbox(self) -> SandboxRecord | None:
        """None when nothing of the sandbox can have been made: there is no record, or only a broken one."""
        try:
            return wire.decode(SandboxRecord, wire.parse((self.path / SANDBOX_FILE).read_bytes()))
        except (FileNotFoundError, ProtocolError):
            return None

    def write_container(self, record: ContainerRecord) -> None:
        self._write(f"container-{record.status.id}.json", record)

    def remove_container(self, container_id: str) -> None:
        (self.path / f"container-{container_id}.json").unlink(missing_ok=True)

    def read_containers(self) -> dict[str, ContainerRecord]:
        """Every container on record, oldest first, by id."""
        found = []
        for name in os.listdir(self.path):
            if _CONTAINER_FILE.fullmatch(name):
                try:
                    found.append(wire.decode(ContainerRecord, wire.parse((self.path / name).read_bytes())))
                except (FileNotFoundError, ProtocolError):
                    continue
        return {r.status.id: r for r in sorted(found, key=lambda r: (r.status.created_at, r.status.id))}

    def _write(self, name: str, record: object) -> None:
        fresh = os.path.join(self.path, f".{name}")
        data = wire.encode(record)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), fresh)
        finally:
            os.close(fd)
        os.rename(fresh, os.path.join(self.path, name))


def identify(pid: int) -> ProcessIdentity:
    """Raises ProcessLookupError or FileNotFoundError when there is no such process."""
    return ProcessIdentity(pid, process.start_time(pid))


def is_alive(identity: ProcessIdentity) -> bool:
    try:
        return process.start_time(identity.pid) == identity.start_time
    except (ProcessLookupError, FileNotFoundError):
        return False


def check_name(what: str, name: str) -> str:
    """A uid or id that may become a file's name. Raises RuntimeServiceError."""
    if not _NAME.fullmatch(name):
        raise RuntimeServiceError(
            f"{what} {name!r}: expected letters, digits, '-', '_' and '.', at most 128"
        )
    return name


def check_cgroup(name: str) -> None:
    """A cgroup's path below the mount. Raises RuntimeServiceError."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise RuntimeServiceError(f"cgroup {name!r}: expected a relative path")


def sandbox_status(record: SandboxRecord, containers: tuple[ContainerStatus, ...]) -> SandboxStatus:
    config = record.config
    return SandboxStatus(
        uid=config.uid,
        name=config.name,
        namespace=config.namespace,
        attempt=config.attempt,
        state=record.state,
        created_at=record.created_at,
        shim_pid=record.shim.pid if record.shim else 0,
        infra_pid=record.infra.pid if record.infra else 0,
        cgroup=config.cgroup,
        containers=containers,
        labels=config.labels,
        resources=config.resources,
    )
