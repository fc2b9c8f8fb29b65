"""Looking at a host: /proc, /sys and a few programs. Reads only."""

from __future__ import annotations

import gzip
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from minipod.cli.health.cgroup_facts import cgroup_mount, look_at_cgroups, swap_counted
from minipod.cli.health.checks import Facts
from minipod.cli.health.trials import run_trials
from minipod.config import Config
from minipod.linux import capabilities, machine
from minipod.systemd import units

SBIN = "/usr/sbin:/sbin"
PROGRAM_TIMEOUT = 5.0

SYSCTLS = (
    *(f"user.max_{kind}_namespaces" for kind in ("user", "net", "mnt", "pid", "ipc", "uts", "cgroup")),
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "kernel.pid_max",
    "kernel.threads-max",
)


def gather(data_dir: Path, cgroup_parent: str = "") -> Facts:
    """Everything the checks ask for. `cgroup_parent` "": the one pods have by service or configuration.

    Takes a fraction of a second. Raises ConfigError.
    """
    existing = _nearest(data_dir)
    config = Config.from_sources()
    parent = cgroup_parent or (units.CGROUP_PARENT if _installed() else config.cgroup_parent)
    mount, writable = cgroup_mount(_read("/proc/self/mountinfo"))
    return Facts(
        kernel=platform.release(),
        python=tuple(sys.version_info[:3]),
        uid=os.geteuid(),
        capabilities=frozenset(capabilities.to_names(capabilities.permitted())),
        cgroup_mount=mount,
        cgroup_parent=parent,
        cgroups=look_at_cgroups(mount, parent, writable=writable, which=_which),
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
        kernel_options=kernel_options(_kernel_config()),
        sysctls=_sysctls(),
        swap=machine.meminfo(_read("/proc/meminfo")).get("SwapTotal", 0),
        swap_counted=swap_counted(mount, _read("/proc/cmdline").split()),
        systemd_version=systemd_version(_output("systemctl", "--version")),
        shutdown_delay=shutdown_delay(_output("busctl", "get-property", *_INHIBIT_DELAY)),
        shutdown_grace=config.shutdown_grace_period,
    )


def kernel_options(text: str) -> dict[str, str]:
    """CONFIG_X=y and "# CONFIG_X is not set" as name -> y, m, n or a value."""
    found = {}
    for line in text.splitlines():
        if line.startswith("# CONFIG_") and line.endswith(" is not set"):
            found[line.split()[1]] = "n"
        elif line.startswith("CONFIG_"):
            name, _, value = line.partition("=")
            found[name] = value
    return found


def systemd_version(text: str) -> int:
    """From `systemctl --version`: "systemd 252 (252.38-1~deb12u1)"; 0 when there is none."""
    words = text.split()
    number = words[1].partition("~")[0].partition("-")[0].partition(".")[0] if len(words) > 1 else ""
    return int(number) if number.isdigit() else 0


def shutdown_delay(text: str) -> float | None:
    """Seconds, from what busctl says of logind's InhibitDelayMaxUSec: "t 5000000"."""
    words = text.split()
    return int(words[1]) / 1e6 if len(words) == 2 and words[1].isdigit() else None


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


_INHIBIT_DELAY = (
    "org.freedesktop.login1",
    "/org/freedesktop/login1",
    "org.freedesktop.login1.Manager",
    "InhibitDelayMaxUSec",
)


def _nft_chains() -> str:
    return _output("nft", "-j", "list", "chains")


def _output(name: str, *arguments: str) -> str:
    """What a program prints; "" when it is not there, fails or hangs."""
    program = _which(name)
    if not program:
        return ""
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=False, timeout=PROGRAM_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _installed() -> bool:
    return (units.DIRECTORY / units.SERVICE).exists()


def _sysctls() -> dict[str, int]:
    texts = {name: _read(f"/proc/sys/{name.replace('.', '/')}").strip() for name in SYSCTLS}
    return {name: int(text) for name, text in texts.items() if text}


def _kernel_config() -> str:
    try:
        return gzip.decompress(Path("/proc/config.gz").read_bytes()).decode()
    except OSError:
        return _read(f"/boot/config-{platform.release()}")


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
