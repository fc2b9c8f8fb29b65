"""`minipod down`: the pods get their grace period, then the daemon ends; the objects stay in its store."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.daemon_process import find_daemon, in_service
from minipod.cli.durations import parse_duration
from minipod.cli.errors import CommandError
from minipod.cli.node_pages import proxy_path
from minipod.cli.session import Session
from minipod.systemd import units
from minipod.systemd.systemctl import SystemdError, systemctl

DEFAULT_GRACE = 30
"""Seconds (core/v1 PodSpec.terminationGracePeriodSeconds)."""


@click.command("down", cls=Verb)
@click.option(
    "--grace-period", type=int, default=None, metavar="SECONDS", help="For every pod; default: its own."
)
@options.timeout("60s", "How long the daemon may take to end after the pods have.")
@click.pass_obj
def command(session: Session, grace_period: int | None, timeout: str) -> None:
    """End the processes of all pods, each with its grace period, and then the daemon.

    Pods stay in the store and start again with the next daemon. To leave pods running, end the daemon alone
    (SIGTERM, systemctl stop); to remove everything, use purge.
    """
    if grace_period is not None and grace_period < 0:
        raise CommandError("--grace-period must be 0 or more seconds")
    seconds = parse_duration(timeout, "--timeout")
    daemon = find_daemon(session.socket_path)
    if daemon is None:
        raise CommandError(
            f"no daemon answers at {session.socket_path}; pods that it left running are ended by starting it again "
            "and then down, or by purge"
        )
    with closing(daemon):
        pods = session.api.get(session.discovery.find("pods").path())["items"] or ()
        print(announcement(pods, grace_period), file=sys.stderr, flush=True)
        ended = session.api.create(proxy_path(session, "down"), None, {"gracePeriodSeconds": grace_period})
        for pod in ended["pods"]:
            print(f"pod/{pod['name']} in namespace {pod['namespace']} stopped", flush=True)
        service = in_service(daemon.pid)
        if service:
            # Not by a signal: the socket would start the daemon, and the pods, with the next command.
            try:
                systemctl("stop", units.SOCKET, units.SERVICE)
            except SystemdError as error:
                raise CommandError(str(error)) from error
        else:
            daemon.terminate()
        if not daemon.wait(seconds):
            raise CommandError(
                f"the pods are stopped, but the daemon (pid {daemon.pid}) has not ended in {timeout}"
            )
        print(f"daemon (pid {daemon.pid}) ended; objects are kept and start again with the next one")
        if service:
            print(f"{units.SERVICE} is stopped until the next boot, or systemctl start minipod")


def announcement(pods: Sequence[dict[str, Any]], limit: int | None) -> str:
    """What is about to happen, and how long it may take. `limit` in seconds bounds every grace period."""
    live = [p for p in pods if (p.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
    if not live:
        return "no pods run"
    own = [(p["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE), p) for p in live]
    longest, pod = max(own, key=lambda entry: entry[0])
    subject = f"stopping {len(live)} pod{'s' if len(live) != 1 else ''}"
    if limit is not None and limit < longest:
        return f"{subject}; each gets up to {limit}s"
    meta = pod["metadata"]
    return f"{subject}; the longest grace period is {longest}s (pod/{meta['name']} in namespace {meta['namespace']})"
