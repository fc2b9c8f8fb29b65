"""What tests of the runtime need of the world: a root filesystem made of busybox, and documents that use it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from minipod.linux.cgroup2 import cgroup
from minipod.runtime.service import RuntimeService
from minipod.runtime.types import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    NamespaceMode,
    OverlayRootfs,
    SandboxConfig,
    SandboxStatus,
)

BUSYBOX = Path("/bin/busybox")
CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"]
APPLETS = (
    "sh",
    "sleep",
    "cat",
    "echo",
    "true",
    "false",
    "kill",
    "seq",
    "yes",
    "head",
    "dd",
    "stty",
    "tty",
    "id",
)

MOUNTS: list[dict[str, Any]] = [
    {
        "destination": "/proc",
        "type": "proc",
        "source": "proc",
        "options": ["nosuid", "noexec", "nodev"],
    },
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "mode=755", "size=65536k"],
    },
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
        "destination": "/sys",
        "type": "sysfs",
        "source": "sysfs",
        "options": ["nosuid", "noexec", "nodev", "ro"],
    },
]


def process(*args: str, tty: bool = False, **fields: Any) -> dict[str, Any]:
    """An OCI process object."""
    capabilities = dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES)
    return {
        "terminal": tty,
        "user": {"uid": 0, "gid": 0},
        "args": list(args),
        "env": ["PATH=/bin", "HOME=/"],
        "cwd": "/",
        "capabilities": capabilities,
        "noNewPrivileges": True,
        **fields,
    }


class World:
    """One runtime service below one directory and one cgroup of its own."""

    def __init__(self, workdir: Path, word: str, image: Path | None = None) -> None:
        self.workdir = workdir
        self.word = word
        self.cgroup_root = cgroup.mount_point()
        self.image = image or make_image(workdir / "image")
        self.service = self.new_service()
        self._count = 0

    @property
    def spawner_pid(self) -> int:
        return self.service._spawner.pid

    def new_service(self, **options: Any) -> RuntimeService:
        return RuntimeService(
            run_dir=self.workdir / "run",
            data_dir=self.workdir / "data",
            cgroup_root=self.cgroup_root,
            **options,
        )

    def sandbox(self, uid: str = "pod-1", **fields: Any) -> SandboxConfig:
        values: dict[str, Any] = {
            "uid": uid,
            "name": uid,
            "namespace": "default",
            "hostname": uid,
            "cgroup": f"{self.word}/{uid}",
            **fields,
        }
        return SandboxConfig(**values)

    def container(
        self, sandbox: SandboxStatus, *args: str, name: str = "main", attempt: int = 0, **fields: Any
    ) -> ContainerConfig:
        """A container that runs `args` in the busybox image; `process` holds further fields of the OCI process."""
        self._count += 1
        tty = bool(fields.get("tty"))
        pid_mode = fields.pop("pid", NamespaceMode.CONTAINER)
        oci = {
            "ociVersion": "1.2.0",
            "process": process(*args, tty=tty, **fields.pop("process", {})),
            "root": {"path": "rootfs", "readonly": False},
            "mounts": list(MOUNTS),
            "linux": {
                "namespaces": namespaces(sandbox.infra_pid, pid_mode),
                "resources": fields.pop("resources", {}),
                "maskedPaths": ["/proc/kcore"],
                "readonlyPaths": ["/proc/sys"],
            },
        }
        writable = self.workdir / "data" / "pods" / sandbox.uid / "containers" / name / str(attempt)
        values: dict[str, Any] = {
            "name": name,
            "attempt": attempt,
            "id": f"{name}-{self._count}",
            "oci": oci,
            "rootfs": OverlayRootfs(lower=(self.image,), upper=writable / "upper", work=writable / "work"),
            "log_path": self.workdir / "log" / sandbox.uid / name / f"{attempt}.log",
            **fields,
        }
        return ContainerConfig(**values)

    async def run(self, sandbox: SandboxStatus, *args: str, **fields: Any) -> ContainerStatus:
        """Create and start a container."""
        config = self.container(sandbox, *args, **fields)
        await self.service.create_container(sandbox.uid, config)
        return await self.service.start_container(sandbox.uid, config.id)

    def status(self, container: ContainerStatus, uid: str = "pod-1") -> ContainerStatus:
        sandbox = self.service.status(uid)
        assert sandbox is not None
        found = sandbox.container(container.id)
        assert found is not None
        return found

    async def ended(self, container: ContainerStatus, uid: str = "pod-1") -> ContainerStatus:
        """Wait for a container's exit."""
        await self.until(lambda: self.status(container, uid).state is ContainerState.EXITED)
        return self.status(container, uid)

    async def run_to_end(self, sandbox: SandboxStatus, *args: str, **fields: Any) -> ContainerStatus:
        return await self.ended(await self.run(sandbox, *args, **fields), sandbox.uid)

    async def until(
        self, condition: Callable[[], Any], bound: float = 10.0, service: RuntimeService | None = None
    ) -> None:
        """Wait for a condition that an event of the runtime brings about."""
        changed = asyncio.Event()
        unsubscribe = (service or self.service).subscribe(lambda _uid: changed.set())
        try:
            async with asyncio.timeout(bound):
                while not condition():
                    changed.clear()
                    await changed.wait()
        finally:
            unsubscribe()

    async def end(self) -> None:
        for sandbox in self.service.sandboxes():
            await self.service.remove_sandbox(sandbox.uid)
        await self.service.stop()
        group = self.cgroup_root / self.word
        if group.exists():
            populated = cgroup.events(group)["populated"]
            cgroup.kill(group)
            cgroup.remove(group, 5)
            assert not populated, "processes were left in the test's cgroup"


def processes_below(group: Path) -> list[int]:
    """The pids in a cgroup and in those below it, which may go while they are looked at."""
    found: list[int] = []
    for directory, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            found += cgroup.processes(Path(directory))
    return sorted(found)


def namespaces(infra_pid: int, pid: NamespaceMode) -> list[dict[str, str]]:
    shared = [("network", "net"), ("uts", "uts"), ("ipc", "ipc")]
    found = [{"type": kind, "path": f"/proc/{infra_pid}/ns/{file}"} for kind, file in shared]
    if pid is NamespaceMode.POD:
        found.append({"type": "pid", "path": f"/proc/{infra_pid}/ns/pid"})
    elif pid is NamespaceMode.CONTAINER:
        found.append({"type": "pid"})
    return [*found, {"type": "mount"}, {"type": "cgroup"}]


def make_image(path: Path) -> Path:
    """A root filesystem with busybox and nothing else."""
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc"):
        (path / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, path / "bin" / "busybox")
    for applet in subprocess.run(
        [BUSYBOX, "--list"], capture_output=True, text=True, check=True
    ).stdout.split():
        if not (path / "bin" / applet).exists():
            (path / "bin" / applet).symlink_to("busybox")
    return path


@contextlib.asynccontextmanager
async def running(workdir: Path, word: str) -> AsyncIterator[World]:
    """A world whose service runs; everything is removed at the end."""
    world = World(workdir, word)
    await world.service.start()
    try:
        yield world
    finally:
        await world.end()
