"""What a daemon with a given configuration has put on this host, looked up in the kernel and on disk.

The same look is taken before and after, so what purge removes is what it later proves to be gone.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from minipod.config import Config
from minipod.linux.cgroup2 import cgroup
from minipod.linux.rtnetlink import RouteSocket
from minipod.network.veth import veth_name

POD_LOG = re.compile(r"[^_]+_[^_]+_(?P<uid>[0-9a-f-]{36})")

LOCK = "lock"
"""What a daemon makes in each of its directories before anything else."""

DATA_MARKS = frozenset(("state.db", "images", "pods"))
RUN_MARKS = frozenset(("minipod.sock", "pods", "network"))
"""What only a data or run directory of ours holds beside the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Everything found. Empty means that the host bears no trace."""

    cgroup: Path | None = None
    processes: tuple[int, ...] = ()
    spawners: tuple[int, ...] = ()
    """Fork servers, which are in no cgroup of ours; each ends by itself when its daemon has."""
    links: tuple[str, ...] = ()
    nft_table: bool = False
    directories: tuple[Path, ...] = ()
    logs: tuple[Path, ...] = ()

    def lines(self) -> list[str]:
        """One line for each thing, for people."""
        found = [f"process {pid}{_name(pid)}" for pid in (*self.processes, *self.spawners)]
        found += [f"cgroup {self.cgroup}"] if self.cgroup else []
        found += [f"network interface {link}" for link in self.links]
        found += ["nftables table"] if self.nft_table else []
        return found + [f"directory {path}" for path in (*self.directories, *self.logs)]


def look(config: Config, uids: frozenset[str] | None = None, *, keep_data: bool = False) -> Survey:
    """`uids`: the pods whose logs are ours; by default those with a directory. Raises OSError.

    `keep_data`: what lasts beyond a boot (the data directory, logs) is left out.
    """
    group = pod_cgroup(config)
    uids = known_uids(config) if uids is None else uids
    return Survey(
        cgroup=group,
        processes=tuple(_processes(group)) if group else (),
        spawners=tuple(_spawners(config.run_dir)),
        links=tuple(_links(config, uids)),
        nft_table=_has_table(config.nft_table),
        directories=tuple(p for p in _directories(config, keep_data=keep_data) if p.exists()),
        logs=() if keep_data else tuple(_logs(config.log_dir, uids)),
    )


def _directories(config: Config, *, keep_data: bool) -> tuple[Path, ...]:
    return (config.run_dir,) if keep_data else (config.data_dir, config.run_dir)


def pod_cgroup(config: Config) -> Path | None:
    """The group below which all pods are, if it is there."""
    try:
        group = cgroup.mount_point() / config.cgroup_parent
    except FileNotFoundError:
        return None
    return group if group.is_dir() else None


def known_uids(config: Config) -> frozenset[str]:
    """The pods that have a directory; their logs are ours, whatever else lies beside them."""
    found: set[str] = set()
    for parent in (config.data_dir / "pods", config.run_dir / "pods"):
        try:
            found.update(os.listdir(parent))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return frozenset(found)


def strangers(path: Path, marks: frozenset[str]) -> str:
    """Why this directory is not ours to remove, or nothing. Ours has the lock and a mark, or nothing but those."""
    try:
        names = frozenset(os.listdir(path))
    except FileNotFoundError:
        return ""
    except NotADirectoryError:
        return f"{path} is not a directory"
    if names <= marks | {LOCK} or (LOCK in names and names & marks):
        return ""
    return f"{path} is no directory of minipod's: it holds {', '.join(sorted(names)[:5])}"


def _processes(group: Path) -> list[int]:
    found: list[int] = []
    for directory, _, _ in os.walk(group):
        try:
            found += cgroup.processes(Path(directory))
        except OSError:
            continue
    return sorted(set(found))


def _spawners(run_dir: Path) -> list[int]:
    """A spawner is told its scratch directory on its command line."""
    mark = f"{run_dir / 'spawner'}'".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return sorted(found)


def _name(pid: int) -> str:
    try:
        command = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
    except OSError:
        return ""
    return f" {command[:60]}" if command else ""


def _links(config: Config, uids: frozenset[str]) -> list[str]:
    """The bridge, if it is ours by what is written on it, what is plugged into it, and our pods' cables.

    Asked of the kernel, not of /sys: that may show another network namespace than the one we are in.
    """
    with RouteSocket() as route:
        links = route.links()
    owner = f"minipod {config.run_dir / 'network'}"
    bridges = [k for k in links if k.name == config.bridge and k.alias and owner.startswith(k.alias)]
    masters = {bridge.index for bridge in bridges}
    cables = {veth_name(config.bridge, uid) for uid in uids}
    plugged = sorted(k.name for k in links if (k.master and k.master in masters) or k.name in cables)
    return [*(bridge.name for bridge in bridges), *plugged]


def _has_table(name: str) -> bool:
    try:
        done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return f"table inet {name}" in done.stdout.splitlines()


def _logs(log_dir: Path, uids: frozenset[str]) -> list[Path]:
    """Log directories of our pods; other kubelets' may lie beside them."""
    try:
        names = sorted(os.listdir(log_dir))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [log_dir / n for n in names if (match := POD_LOG.fullmatch(n)) and match["uid"] in uids]
