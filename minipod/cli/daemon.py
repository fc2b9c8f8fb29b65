"""`minipod daemon`: the flags of the node; the node itself is minipod.daemon."""

from __future__ import annotations

import os
from pathlib import Path

import click

from minipod.cli.command import Verb
from minipod.cli.config_options import config_options, read_config
from minipod.cli.errors import ProcessExitError


@click.command("daemon", cls=Verb)
@click.option("--end-pods", is_flag=True, hidden=True, help="End the pods that run, and then at once.")
@config_options()
def command(config_file: str | None, *, end_pods: bool, **flags: str | None) -> None:
    """Run the node in the foreground: API server, scheduler and kubelet in one process.

    Every flag is also a key of /etc/minipod/config.yaml (--data-dir: dataDir) and a variable (MINIPOD_DATA_DIR).
    SIGTERM ends the daemon and leaves pods running; `minipod down` ends them too.
    """
    config = read_config(config_file, flags)
    if end_pods and not has_pods(config.run_dir):
        return
    from minipod import daemon  # the composition root, and with it every package

    code = daemon.main(config, end_pods=end_pods)
    if code:
        raise ProcessExitError(code)


def has_pods(run_dir: Path) -> bool:
    """Whether any pod has been left running, going by the run directory."""
    try:
        return any(os.scandir(run_dir / "pods"))
    except (FileNotFoundError, NotADirectoryError):
        return False
