"""Look at the machine once: what NodeSettings and the Node object say about it. All reads, nothing is changed."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Collection
from pathlib import Path

from minipod.kubelet.settings import HostFacts
from minipod.linux import capabilities, machine
from minipod.linux.cgroup2 import delegation

_STUB_RESOLVER = "127.0.0.53"
_SYSTEMD_RESOLV_CONF = Path("/run/systemd/resolve/resolv.conf")

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""uname's machine -> the label kubernetes.io/arch, where they differ."""


def read_host_facts(
    *, cgroup_root: Path, data_dir: Path, cgroup_parent: str = "", proc: Path = Path("/proc")
) -> HostFacts:
    """`cgroup_root`: the cgroup2 mount, `cgroup_parent`: the group of all pods below it.

    `data_dir` lies on the file system whose size is the ephemeral storage.
    """
    uname = platform.uname()
    return HostFacts(
        hostname=socket.gethostname(),
        cpu_capacity_millis=1000 * len(os.sched_getaffinity(0)),
        memory_capacity=machine.meminfo((proc / "meminfo").read_text()).get("MemTotal", 0),
        controllers=delegation.usable(delegation.levels(cgroup_root, cgroup_parent)),
        capabilities=(own := own_capabilities(proc / "self" / "status")),
        lowest_oom_score=lowest_oom_score(own, _text(proc / "self" / "oom_score_adj")),
        hugepages=_hugepages(Path("/sys/kernel/mm/hugepages")),
        ephemeral_storage=_filesystem_size(data_dir),
        kernel_version=uname.release,
        os_image=_os_image(Path("/etc/os-release")),
        architecture=_ARCHITECTURES.get(uname.machine, uname.machine),
        machine_id=_text(Path("/etc/machine-id")),
        boot_id=_text(proc / "sys/kernel/random/boot_id"),
        system_uuid=_text(Path("/sys/class/dmi/id/product_uuid")) or _text(Path("/etc/machine-id")),
        resolv_conf=resolv_conf(Path("/etc/resolv.conf"), _SYSTEMD_RESOLV_CONF),
    )


def resolv_conf(usual: Path, systemd: Path) -> Path:
    """systemd-resolved's stub listens on the host's loopback, out of a pod's reach: take its upstream list instead."""
    stub = any(line.split()[1:2] == [_STUB_RESOLVER] for line in _text(usual).splitlines())
    return systemd if stub and systemd.exists() else usual


def own_capabilities(status: Path) -> tuple[str, ...]:
    """The names of this process's permitted capabilities."""
    for line in status.read_text().splitlines():
        if line.startswith("CapPrm:"):
            bits = int(line.split()[1], 16)
            return tuple(name for bit, name in enumerate(capabilities.NAMES) if bits >> bit & 1)
    return ()


def lowest_oom_score(held: Collection[str], own: str) -> int:
    """Without CAP_SYS_RESOURCE a process cannot get below what it has (proc_pid_oom_score_adj(5))."""
    return -1000 if "CAP_SYS_RESOURCE" in held else int(own or 0)


def _hugepages(root: Path) -> dict[str, int]:
    found = {}
    for directory in sorted(root.glob("hugepages-*kB")):
        size = int(directory.name.removeprefix("hugepages-").removesuffix("kB")) * 1024
        count = int(_text(directory / "nr_hugepages") or 0)
        if count:
            found[_binary(size)] = size * count
    return found


def _binary(size: int) -> str:
    for unit, suffix in ((1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")):
        if size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)


def _filesystem_size(path: Path) -> int:
    existing = next((p for p in (path, *path.parents) if p.exists()), Path("/"))
    return machine.file_system(existing).capacity


def _os_image(os_release: Path) -> str:
    for line in _text(os_release).splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
