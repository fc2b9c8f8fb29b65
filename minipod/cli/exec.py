"""`minipod exec`: another process in a running container; its exit code becomes ours."""

from __future__ import annotations

import sys

import click

from minipod.cli import options
from minipod.cli.command import Verb, after_dash
from minipod.cli.errors import CommandError, ProcessExitError
from minipod.cli.pods import choose_container, get_pod, pod_name
from minipod.cli.session import Session
from minipod.cli.terminal import stdin_is_terminal
from minipod.client.streaming import StreamExit

NO_TERMINAL = "Unable to use a TTY - input is not a terminal or the right kind of file"

ENDED = "command terminated with exit code"


@click.command("exec", cls=Verb)
@click.argument(
    "words", nargs=-1, metavar="POD -- COMMAND [ARGS...]", shell_complete=options.completer("pods")
)
@options.container()
@options.flag("-i", "--stdin", help="Pass standard input to the command.")
@options.flag("-t", "--tty", help="Give the command a terminal.")
@options.flag("-q", "--quiet", help="Print only what the command prints.")
@click.pass_obj
def command(
    session: Session, words: tuple[str, ...], container: str, stdin: bool, tty: bool, quiet: bool
) -> None:
    """Run a command in a container of a pod.

    \b
    minipod exec web -- ps                 minipod exec -it web -c app -- sh
    """
    argv = after_dash()
    if not words:
        raise CommandError("name the pod to run the command in: minipod exec POD -- COMMAND")
    if not argv or len(words) > 1:
        raise CommandError("the command comes after --: minipod exec POD -- COMMAND [ARGS...]")
    from minipod.cli.interactive import converse
    from minipod.client.streaming import open_exec

    name = pod_name(session, words[0])
    pod = get_pod(session, name)
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise CommandError(f"cannot exec into a container in a completed pod; current phase is {phase}")
    chosen = choose_container(pod, container, quiet=quiet)
    tty = usable_tty(tty, stdin=stdin)
    streams = open_exec(
        session.api,
        session.current_namespace,
        name,
        argv,
        container=chosen,
        stdin=stdin,
        stderr=not tty,
        tty=tty,
    )
    leave_with(converse(streams, stdin=stdin, tty=tty), quiet=quiet)


def usable_tty(wanted: bool, *, stdin: bool) -> bool:
    """A terminal for the process makes sense only when ours is one; says so when it is not."""
    if wanted and stdin and not stdin_is_terminal():
        print(NO_TERMINAL, file=sys.stderr)
        return False
    return wanted


def leave_with(ended: StreamExit, *, quiet: bool = False) -> None:
    """Raises ProcessExitError with the process's code, CommandError when it never ran."""
    if ended.code == 0:
        return
    if not ended.message or ended.message.startswith("command terminated"):
        if not quiet:
            print(f"{ENDED} {ended.code}", file=sys.stderr)
        raise ProcessExitError(ended.code)
    print(f"error: {ended.message}", file=sys.stderr)
    raise ProcessExitError(ended.code)
