"""What a test left on this machine, found by the names that are its own.

Tests run side by side, so a snapshot of the whole machine says nothing: every kernel test works below one directory
and one unique word (bridge, cgroup parent and nft table contain it), and whatever bears either of them afterwards
is a leak.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

PROC = Path("/proc")


def processes(mark: str) -> list[str]:
    """Processes whose command line, environment or cgroup bears the mark (this one and its parents excepted)."""
    mine = _ancestry()
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) in mine:
            continue
        try:
            text = b"".join((entry / name).read_bytes() for name in ("cmdline", "environ", "cgroup"))
            if mark.encode() in text and not _zombie(entry):
                cmdline = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"process {entry.name}: {cmdline or (entry / 'comm').read_text().strip()}")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def mounts(mark: str) -> list[str]:
    """Mounts of this mount namespace whose target, source or options bear the mark."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [f"mount: {line}" for line in lines if mark in line]


def cgroups(mark: str) -> list[str]:
    """cgroup2 directories with the mark in their name."""
    for mount in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        root = Path(mount)
        if (root / "cgroup.procs").exists():
            return [f"cgroup: {path}" for path in root.glob(f"*{mark}*")]
    return []


def links(mark: str) -> list[str]:
    """Network links of this network namespace with the mark in their name."""
    return [f"link: {name}" for name in os.listdir("/sys/class/net") if mark in name]


def nft_tables(mark: str) -> list[str]:
    """nftables tables of this network namespace with the mark in their name."""
    out = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
    return [f"nft: {line}" for line in out.splitlines() if mark in line]


def all_leaks(*marks: str) -> list[str]:
    """Everything that bears one of the marks."""
    found: list[str] = []
    for mark in marks:
        for look in (processes, mounts, cgroups, links, nft_tables):
            found += look(mark)
    return found


def _ancestry() -> set[int]:
    pids, pid = set(), os.getpid()
    while pid > 1:
        pids.add(pid)
        pid = int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return pids


def _zombie(entry: Path) -> bool:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
