"""Looking at a host: /proc, /sys and a few programs. Reads only."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from minipod.cli.health.checks import Facts
from minipod.cli.health.trials import run_trials
from minipod.linux import capabilities
from minipod.linux.cgroup2 import cgroup

SBIN = "/usr/sbin:/sbin"


def gather(data_dir: Path) -> Facts:
    """Everything the checks ask for. Takes a fraction of a second."""
    existing = _nearest(data_dir)
    mount, controllers = _cgroup()
    return Facts(
        kernel=platform.release(),
        python=tuple(sys.version_info[:3]),
        uid=os.geteuid(),
        capabilities=frozenset(capabilities.to_names(capabilities.permitted())),
        cgroup_mount=mount,
        controllers=controllers,
        programs={name: _which(name) for name in ("nft", "tar")},
        trials=run_trials(),
        data_dir=str(data_dir),
        data_file_system=file_system(existing, _read("/proc/self/mountinfo")),
        data_free=shutil.disk_usage(existing).free,
        init=_read("/proc/1/comm").strip(),
        ip_forward=_read("/proc/sys/net/ipv4/ip_forward").strip(),
        default_route=has_default_route(_read("/proc/net/route")),
        dropping_chains=tuple(dropping_chains(_nft_chains())),
        pressure=Path("/proc/pressure/cpu").exists(),
    )


def file_system(path: Path, mountinfo: str) -> str:
    """The type of the file system a path is on, by the longest mount point above it (proc_pid_mountinfo(5))."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind


def has_default_route(table: str) -> bool:
    """/proc/net/route: destination and mask both 0."""
    rows = (line.split() for line in table.splitlines()[1:])
    return any(len(row) > 7 and row[1] == "00000000" and row[7] == "00000000" for row in rows)


def dropping_chains(ruleset: str) -> list[str]:
    """From `nft -j list chains`: the base chains that drop forwarded packets nothing accepts."""
    try:
        entries = json.loads(ruleset)["nftables"]
    except (ValueError, KeyError):
        return []
    chains = [entry["chain"] for entry in entries if "chain" in entry]
    return [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in chains
        if chain.get("hook") == "forward" and chain.get("policy") == "drop"
    ]


def _nft_chains() -> str:
    program = _which("nft")
    if not program:
        return ""
    return subprocess.run(
        [program, "-j", "list", "chains"], capture_output=True, text=True, check=False
    ).stdout


def _cgroup() -> tuple[str, frozenset[str]]:
    try:
        mount = cgroup.mount_point()
        return str(mount), cgroup.controllers(mount)
    except OSError:
        return "", frozenset()


def _which(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}") or ""


def _nearest(path: Path) -> Path:
    """The path, or what exists above it."""
    return next(p for p in (path, *path.parents) if p.exists())


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
