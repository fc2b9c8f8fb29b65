"""`minipod purge`: remove every trace of a daemon from this host, and prove it by looking again."""

from __future__ import annotations

import os
import sys
from contextlib import closing

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.config_options import config_options, read_config
from minipod.cli.daemon_process import find_daemon, held_lock
from minipod.cli.errors import CommandError, ReportedError

STOP_TIMEOUT = 30.0

SETTINGS = ("data_dir", "run_dir", "log_dir", "bridge", "nft_table", "cgroup_parent", "pod_cidr")


@click.command("purge", cls=Verb)
@options.flag("-y", "--yes", help="Do it. Without, only what would be removed is listed.")
@config_options(SETTINGS)
def command(yes: bool, config_file: str | None, **flags: str | None) -> None:
    """Kill all pods, end the daemon and remove everything it made: cgroups, bridge, nftables table, directories.

    Works without a daemon and after a crash. The settings must be those the daemon was started with. Manifests and
    the configuration in /etc/minipod are yours and stay.
    """
    if os.geteuid() != 0:
        raise CommandError("purge removes what only root may: use sudo")
    from minipod.cli.removal import actions
    from minipod.cli.removal.survey import known_uids, look
    from minipod.systemd import installation

    config = read_config(config_file, flags)
    if installation.serves(config.socket):
        raise CommandError(
            f"{config.socket} is the service's: systemd would start it again; minipod uninstall removes both"
        )
    uids = known_uids(config)
    found = look(config, uids)
    actions.check(config, found)
    if not yes:
        print(
            "\n".join(f"would remove {line}" for line in found.lines()) or "nothing is left of minipod here"
        )
        raise CommandError("nothing was removed: say --yes to remove it")
    _stop_daemon(str(config.socket))
    with held_lock(config.run_dir / "lock", STOP_TIMEOUT), held_lock(config.data_dir / "lock", STOP_TIMEOUT):
        # Without a daemon nothing is made any more: what is found now is all there is.
        uids |= known_uids(config)
        found = look(config, uids)
        actions.check(config, found)
        problems = actions.remove(config, found)
    left = look(config, uids).lines()
    print("".join(f"removed {line}\n" for line in found.lines() if line not in left), end="")
    for line in (*problems, *(f"still there: {line}" for line in left)):
        print(f"error: {line}", file=sys.stderr)
    if problems or left:
        raise ReportedError
    print("nothing is left: no process, cgroup, network interface, nftables table or directory")


def _stop_daemon(path: str) -> None:
    daemon = find_daemon(path)
    if daemon is None:
        return
    with closing(daemon):
        daemon.terminate()
        if not daemon.wait(STOP_TIMEOUT):
            raise CommandError(
                f"the daemon (pid {daemon.pid}) has not ended within {STOP_TIMEOUT:g} s of SIGTERM: end it first"
            )
        print(f"removed daemon process {daemon.pid}")
