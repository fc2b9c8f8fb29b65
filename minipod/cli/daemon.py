"""`minipod daemon`: the flags of the node; the node itself is minipod.daemon."""

from __future__ import annotations

import click

from minipod.cli.command import Verb
from minipod.cli.config_options import config_options, read_config
from minipod.cli.errors import ProcessExitError


@click.command("daemon", cls=Verb)
@config_options()
def command(config_file: str | None, **flags: str | None) -> None:
    """Run the node in the foreground: API server, scheduler and kubelet in one process.

    Every flag is also a key of /etc/minipod/config.yaml (--data-dir: dataDir) and a variable (MINIPOD_DATA_DIR).
    SIGTERM ends the daemon and leaves pods running; `minipod down` ends them too.
    """
    config = read_config(config_file, flags)
    from minipod import daemon  # the composition root, and with it every package

    code = daemon.main(config)
    if code:
        raise ProcessExitError(code)
