"""`minipod attach`: our standard streams joined to those of a container's own process."""

from __future__ import annotations

import sys

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.errors import CommandError
from minipod.cli.exec import leave_with, usable_tty
from minipod.cli.pods import Obj, choose_container, get_pod, pod_name
from minipod.cli.session import Session

END_OF_TRANSMISSION = b"\x04"
"""Ctrl-D: what ends the input of a process on a terminal (termios(3), VEOF)."""

PROMPT = "If you don't see a command prompt, try pressing enter."


@click.command("attach", cls=Verb)
@click.argument("pod", metavar="POD", shell_complete=options.completer("pods"))
@options.container()
@options.flag("-i", "--stdin", help="Pass standard input to the container.")
@options.flag("-t", "--tty", help="Standard input is a terminal, and so is the container's.")
@options.flag("-q", "--quiet", help="Print only what the container prints.")
@click.pass_obj
def command(session: Session, pod: str, container: str, stdin: bool, tty: bool, quiet: bool) -> None:
    """Attach to the process a running container was started with.

    \b
    minipod attach web                     minipod attach -it web -c shell
    """
    found = get_pod(session, pod_name(session, pod))
    chosen = choose_container(found, container, quiet=quiet)
    attach(session, found, chosen, stdin=stdin, tty=tty, quiet=quiet)


def attach(
    session: Session, pod: Obj, container: str, *, stdin: bool, tty: bool, quiet: bool = False
) -> None:
    """Until the container ends, or the terminal does. Raises StatusError, CommandError, ProcessExitError."""
    from minipod.cli.interactive import converse
    from minipod.client.streaming import open_attach

    spec = _container_spec(pod, container)
    if stdin and not spec.get("stdin"):
        raise CommandError(
            f"container {container} does not read standard input: its spec has no stdin: true"
        )
    if tty and not spec.get("tty"):
        print(f"error: Unable to use a TTY - container {container} did not allocate one", file=sys.stderr)
        tty = False
    tty = usable_tty(tty, stdin=stdin)
    if stdin and tty and not quiet:
        print(PROMPT, file=sys.stderr)
    streams = open_attach(
        session.api,
        session.current_namespace,
        pod["metadata"]["name"],
        container=container,
        stdin=stdin,
        stderr=not spec.get("tty"),
        tty=bool(spec.get("tty")),
    )
    end = END_OF_TRANSMISSION if spec.get("tty") else b""
    leave_with(converse(streams, stdin=stdin, tty=tty, end=end), quiet=quiet)


def _container_spec(pod: Obj, name: str) -> Obj:
    spec = pod["spec"]
    every = (
        *spec["containers"],
        *(spec.get("initContainers") or ()),
        *(spec.get("ephemeralContainers") or ()),
    )
    return next(c for c in every if c["name"] == name)
