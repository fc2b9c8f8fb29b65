"""Launching for tests: a miniature shim in a process of its own, a busybox root, and OCI documents to change."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minipod.linux.cgroup2 import cgroup

SERVER = Path(__file__).parent / "launch_server.py"
BUSYBOX = Path("/bin/busybox")

CAPABILITIES = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
]
MASKED = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/scsi",
    "/sys/firmware",
    "/proc/nope",
]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

DOCUMENT: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "root": {"path": "rootfs"},
    "process": {
        "args": ["/bin/true"],
        "cwd": "/",
        "env": ["PATH=/bin", "HOME=/root"],
        "user": {"uid": 0, "gid": 0},
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
    },
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {
            "destination": "/dev/mqueue",
            "type": "mqueue",
            "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"],
        },
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        },
        {
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"],
        },
    ],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "mount", "network", "ipc", "uts", "cgroup")],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY,
    },
}


def document(*args: str, infra_pid: int = 0, **process: Any) -> dict[str, Any]:
    """A fresh copy of the base document that runs `args`; with `infra_pid` in that process's net, ipc and uts."""
    oci = copy.deepcopy(DOCUMENT)
    oci["process"] |= {"args": list(args), **process}
    if infra_pid:
        joined = {"network": "net", "ipc": "ipc", "uts": "uts"}
        for entry in oci["linux"]["namespaces"]:
            if file := joined.get(entry["type"]):
                entry["path"] = f"/proc/{infra_pid}/ns/{file}"
    return oci


def bind(source: Path | str, destination: str, *options: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": "bind",
        "source": str(source),
        "options": ["rbind", "rprivate", *options],
    }


def make_root(path: Path) -> Path:
    """A root file system with busybox's applets and the usual directories."""
    for name in ("bin", "dev", "etc", "proc", "root", "sys", "tmp"):
        (path / name).mkdir(parents=True)
    (path / "tmp").chmod(0o1777)
    (path / "etc" / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"
    )
    shutil.copy(BUSYBOX, path / "bin" / "busybox")
    for applet in subprocess.run(
        [BUSYBOX, "--list"], capture_output=True, text=True, check=True
    ).stdout.split():
        if applet != "busybox":
            (path / "bin" / applet).symlink_to("busybox")
    return path


class Shim:
    """The near side of one launch server. Answers are the server's, see there."""

    def __init__(self, word: str, directory: Path) -> None:
        self.directory = directory
        self.root = make_root(directory / "root")
        self.group = word
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", SERVER, word],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"verb": verb, **fields}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer

    def infra(self, name: str = "infra", **fields: Any) -> int:
        """Start an infra process; its pid."""
        answer = self.ask("infra", name=name, **{"hostname": "pod", **fields})
        assert answer["failure"] is None, answer
        pid: int = answer["pid"]
        return pid

    def start(
        self,
        oci: dict[str, Any],
        *,
        name: str = "",
        lower: list[Path] | None = None,
        subpaths: list[dict[str, str]] | None = None,
        infra: str = "",
        hold: bool = False,
    ) -> dict[str, Any]:
        """Start a container, or with hold only get it ready.

        The answer has pid, warnings and failure (None, or the failure's fields and code).
        """
        self._count += 1
        name = name or f"c{self._count}"
        layers = [str(path) for path in lower or [self.root]]
        directory = str(self.directory / f"rw-{name}")
        answer = self.ask(
            "start",
            name=name,
            oci=oci,
            lower=layers,
            directory=directory,
            subpaths=subpaths or [],
            infra=infra,
            hold=hold,
        )
        return {"name": name, **answer}

    def run(self, oci: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Start a container that must start, wait for its end: code, stdout and stderr (or tty), warnings, pid."""
        started = self.start(oci, **options)
        assert started["failure"] is None, started["failure"]
        return {**started, **self.ask("finish", name=started["name"])}

    def sh(self, script: str, **options: Any) -> str:
        """Run a shell script in a container made from the base document; its standard output."""
        done = self.run(document("/bin/sh", "-c", script), **options)
        assert done["code"] == 0, done
        out: str = done["stdout"]
        return out

    def fail(self, oci: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Start a container that must not start: stage, errno, operand, message and code."""
        started = self.start(oci, **options)
        assert started["failure"] is not None, "it started"
        return {**started["failure"], "code": started.get("code")}

    def exec(self, container: str, process: dict[str, Any]) -> dict[str, Any]:
        """Run a further process to its end, or give back its failure."""
        self._count += 1
        name = f"x{self._count}"
        started = self.ask("exec", name=name, container=container, process=process)
        if started["failure"] is not None:
            return started
        return {**started, **self.ask("finish", name=name)}

    def kill(self, name: str, signum: int = signal.SIGKILL) -> None:
        self.ask("kill", name=name, signum=signum)

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            assert self._process.wait(timeout=10) == 0
        finally:
            self._process.kill()
            self._process.wait()
            group = cgroup.mount_point() / self.group
            if group.exists():
                cgroup.kill(group)
                cgroup.remove(group)


@contextlib.contextmanager
def shim(word: str, directory: Path) -> Iterator[Shim]:
    server = Shim(word, directory)
    try:
        yield server
    finally:
        server.end()


def namespace(pid: int, kind: str) -> int:
    """The inode of a process's namespace."""
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino
