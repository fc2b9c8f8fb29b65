"""Taking away what a survey found: first what runs, then what it held, then what it wrote."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from minipod.cli.daemon_process import DaemonProcess
from minipod.cli.errors import CommandError
from minipod.cli.removal.survey import DATA_MARKS, RUN_MARKS, Survey, strangers
from minipod.config import Config
from minipod.linux import tree
from minipod.linux.cgroup2 import cgroup

PATIENCE = 5.0
"""Seconds that a spawner whose daemon has ended gets to notice."""

TIMEOUT = 20.0
"""Seconds that killed processes may take to be gone."""


def check(config: Config, found: Survey, *, keep_data: bool = False) -> None:
    """Refuse to remove what is not ours, before anything is removed. Raises CommandError."""
    for path, marks in ((config.data_dir, DATA_MARKS), (config.run_dir, RUN_MARKS)):
        if keep_data and path == config.data_dir:
            continue
        if problem := strangers(path, marks):
            raise CommandError(f"{problem}: nothing was removed")
    if os.getpid() in found.processes:
        raise CommandError(
            f"this command runs in the cgroup {found.cgroup} it is to empty: run it from elsewhere"
        )


def remove(config: Config, found: Survey, *, keep_data: bool = False) -> list[str]:
    """Remove everything found; the problems met, one line each. The order matters: a process may make things anew.

    `keep_data`: the data directory stays.
    """
    problems: list[str] = []

    def attempt(what: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            # One thing that resists must not keep the rest on the host.
            problems.append(f"cannot remove {what}: {error}")

    for pid in found.spawners:
        attempt(f"process {pid}", functools.partial(_end, pid))
    if found.cgroup:
        group = found.cgroup
        attempt(f"cgroup {group}", lambda: _remove_cgroup(group))
    attempt("the network", lambda: _remove_network(config))
    # Both directories whether they were found or not: taking the network away may have made one of them.
    for path in (*found.logs, *(() if keep_data else (config.data_dir,)), config.run_dir):
        attempt(f"directory {path}", functools.partial(tree.remove_tree, path))
    if not keep_data:
        attempt(f"directory {config.log_dir}", lambda: _remove_if_empty(config.log_dir))
    return problems


def _remove_cgroup(group: Path) -> None:
    try:
        cgroup.kill(group)
    except FileNotFoundError:
        return
    if not cgroup.wait_for_event(group, "populated", 0, TIMEOUT):
        raise TimeoutError(f"its processes have not ended within {TIMEOUT:g} s of being killed")
    cgroup.remove(group, TIMEOUT)


def _end(pid: int) -> None:
    """Wait until the process has ended by itself; if it does not, kill it."""
    try:
        process = DaemonProcess(pid, os.pidfd_open(pid))
    except ProcessLookupError:
        return
    with closing(process):
        if not process.wait(PATIENCE):
            process.kill()
            process.wait(TIMEOUT)


def _remove_network(config: Config) -> None:
    import asyncio

    from minipod.network.pod_network import PodNetwork
    from minipod.network.types import NetworkConfig

    network = PodNetwork(
        NetworkConfig(
            bridge=config.bridge,
            pod_cidr=config.pod_cidr,
            nft_table=config.nft_table,
            state_dir=config.run_dir / "network",
        )
    )
    asyncio.run(network.destroy())


def _remove_if_empty(path: Path) -> None:
    try:
        path.rmdir()
    except (FileNotFoundError, OSError):
        return
