"""`minipod install`: the daemon as a service of systemd, from now on and after every boot."""

from __future__ import annotations

import os

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.config_options import config_options
from minipod.cli.daemon_process import in_service, lock_holder_beside
from minipod.cli.errors import CommandError
from minipod.config import DEFAULT_FILE, Config, ConfigError


@click.command("install", cls=Verb)
@options.flag("--start", default=True, help="Start it now, too; --start=false only for the next boot.")
@config_options()
def command(*, start: bool, config_file: str | None, **flags: str | None) -> None:
    """Install minipod as a service of systemd: units, configuration, socket; start it, now and at every boot.

    Settings given as flags are written to /etc/minipod/config.yaml. May be run again at any time, as after an update:
    what is as it should be stays, and pods go on.
    """
    from minipod.systemd import installation, units
    from minipod.systemd.systemctl import SystemdError, check_booted, is_active, systemctl

    if os.geteuid() != 0:
        raise CommandError("install writes to /etc and starts a service: use sudo")
    if config_file is not None:
        raise CommandError(
            f"the service reads {DEFAULT_FILE}: put your settings there, or give them as flags"
        )
    asked = {name: text for name, text in flags.items() if text is not None}
    if "cgroup_parent" in asked:
        raise CommandError(f"--cgroup-parent: pods of the service live in {units.CGROUP_PARENT}")
    try:
        check_booted()
        # What is to be refused is refused before anything is written.
        config = Config.from_sources(environ={}, flags=asked)
        _refuse_beside(config)
        installation.refuse_others()
        configured = installation.write_settings(asked)
        written = installation.write_units(config)
        pods_run = is_active(units.PODS)
        if start:
            installation.bring_up(written, configured=configured)
        else:
            systemctl("daemon-reload")
            systemctl("enable", "--quiet", units.SOCKET, units.SERVICE)
    except (SystemdError, ConfigError, ValueError) as error:
        raise CommandError(str(error)) from error
    for name in written:
        print(f"wrote {units.DIRECTORY / name}")
    if configured:
        print(f"wrote {DEFAULT_FILE}")
    if units.PODS in written and pods_run:
        print(f"a changed {units.PODS} takes effect with the next boot: pods go on")
    print(f"{units.SERVICE} is enabled{f' and serves at {config.socket}' if start else ''}")


def _refuse_beside(config: Config) -> None:
    """A daemon that was started by hand in the same directories would keep the service from starting."""
    pid = lock_holder_beside(config.socket)
    if pid and not in_service(pid):
        raise CommandError(
            f"a daemon that is not the service (pid {pid}) uses {config.run_dir}: end it first (minipod down)"
        )
