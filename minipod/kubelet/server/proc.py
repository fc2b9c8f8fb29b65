"""Processes as /proc shows them (proc(5)): read-only, and a process that is gone in between is just not there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
LONGEST_COMMAND = 4096
"""Bytes of a command line that are read."""

NAMESPACES = ("net", "ipc", "uts", "pid", "mnt", "cgroup", "user")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessInfo:
    """`inner_pid` is its number in its own pid namespace; memory in bytes."""

    pid: int
    parent: int
    inner_pid: int
    user: int
    state: str
    rss: int
    command: str


def process_info(pid: int, proc: Path = PROC) -> ProcessInfo | None:
    """None when there is no such process."""
    directory = proc / str(pid)
    try:
        fields = _status(directory)
        command = _command(directory)
    except OSError:
        return None
    return ProcessInfo(
        pid=pid,
        parent=int(fields["PPid"]),
        inner_pid=int(fields.get("NSpid", str(pid)).split()[-1]),
        user=int(fields["Uid"].split()[0]),
        state=fields["State"].split()[0],
        rss=int(fields.get("VmRSS", "0 kB").split()[0]) * 1024,
        command=command or f"[{fields['Name'].strip()}]",
    )


def capability_sets(pid: int, proc: Path = PROC) -> tuple[int, int] | None:
    """The effective and the bounding set, as bits; None when there is no such process."""
    try:
        fields = _status(proc / str(pid))
    except OSError:
        return None
    return int(fields["CapEff"], 16), int(fields["CapBnd"], 16)


def _command(directory: Path) -> str:
    """As far as it is shown: a process may have megabytes of arguments."""
    with (directory / "cmdline").open("rb", buffering=0) as file:
        return file.read(LONGEST_COMMAND).replace(b"\0", b" ").decode(errors="replace").strip()


def _status(directory: Path) -> dict[str, str]:
    return dict(
        line.split(":", 1) for line in (directory / "status").read_text().splitlines() if ":" in line
    )


def namespaces(pid: int | str, proc: Path = PROC) -> dict[str, int]:
    """Namespace type -> inode; empty when the process is gone."""
    found: dict[str, int] = {}
    for name in NAMESPACES:
        try:
            target = os.readlink(proc / str(pid) / "ns" / name)
        except OSError:
            continue
        found[name] = int(target.partition("[")[2].rstrip("]"))
    return found
