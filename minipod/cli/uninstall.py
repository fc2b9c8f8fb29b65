"""`minipod uninstall`: the service and all that belongs to it, taken off this host; proven by looking again."""

from __future__ import annotations

import os
import sys

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.daemon_process import held_lock
from minipod.cli.errors import CommandError, ReportedError
from minipod.config import Config, ConfigError

LOCK_TIMEOUT = 30.0


@click.command("uninstall", cls=Verb)
@options.flag("-y", "--yes", help="Do it, data and all. Not needed with --keep-data.")
@options.flag("--keep-data", help="Keep objects, images, volumes, logs and the configuration.")
def command(*, yes: bool, keep_data: bool) -> None:
    """Stop all pods, each with its grace period, and the daemon; remove the service and everything minipod made.

    That is: unit files, the configuration that install wrote, cgroups, bridge, nftables table, directories, logs of
    pods. A configuration you wrote yourself and manifests stay.
    """
    from dataclasses import replace

    from minipod.cli.removal import actions
    from minipod.cli.removal.survey import known_uids, look
    from minipod.systemd import installation, units
    from minipod.systemd.systemctl import SystemdError, check_booted

    if os.geteuid() != 0:
        raise CommandError("uninstall removes what only root may: use sudo")
    if not yes and not keep_data:
        raise CommandError(
            "this ends all pods and removes their objects, images, volumes and logs: say --yes to do it, or --keep-data"
        )
    try:
        check_booted()
        config = replace(Config.from_sources(environ={}), cgroup_parent=units.CGROUP_PARENT)
        actions.check(config, look(config, keep_data=keep_data), keep_data=keep_data)
        if installation.installed():
            installation.take_down()
        gone = installation.remove_units()
    except (SystemdError, ConfigError) as error:
        raise CommandError(str(error)) from error
    with held_lock(config.run_dir / "lock", LOCK_TIMEOUT), held_lock(config.data_dir / "lock", LOCK_TIMEOUT):
        uids = known_uids(config)
        found = look(config, uids, keep_data=keep_data)
        problems = actions.remove(config, found, keep_data=keep_data)
    if not keep_data:
        gone += installation.remove_settings()
    left = [*look(config, uids, keep_data=keep_data).lines(), *map(str, installation.installed())]
    told = [*(str(path) for path in gone), *(line for line in found.lines() if line not in left)]
    print("".join(f"removed {line}\n" for line in told), end="")
    for line in (*problems, *(f"still there: {line}" for line in left)):
        print(f"error: {line}", file=sys.stderr)
    if problems or left:
        raise ReportedError
    kept = f"; kept: {config.data_dir}, {config.log_dir} and /etc/minipod" if keep_data else ""
    print(f"nothing of the service is left{kept}")
