"""The `minipod` command: finds the verb, imports only that one, and turns failures into messages and exit codes."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from minipod.cli.command import global_options, normalise, split_at_dash
from minipod.cli.errors import INTERRUPTED, UNUSABLE, ProcessExitError
from minipod.cli.session import Session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VERBS = {
    "Objects": {
        "get": "Display one or many objects",
        "describe": "Show details of an object and its events",
        "apply": "Make the cluster look like a manifest",
        "create": "Create objects from a manifest",
        "run": "Run an image in a new pod",
        "delete": "Delete objects",
        "wait": "Wait until objects are in a state",
        "events": "List events",
    },
    "Containers": {
        "logs": "Print the logs of a container",
        "exec": "Run a command in a container",
        "attach": "Attach to a running container",
        "debug": "Add an ephemeral container to a running pod",
        "restart": "Restart the containers of a pod in place",
        "resize": "Change the cpu and memory of a running container",
        "why": "Say why a pod is not Ready, and what happened to it",
        "anatomy": "Draw what a pod is made of: processes, namespaces, cgroups, network, layers",
        "top": "Show what pods use",
        "image": "Import, build, list and remove images",
    },
    "Node": {
        "daemon": "Run the node: API server, scheduler and kubelet in one process",
        "install": "Install the daemon as a service of systemd",
        "uninstall": "Stop the service and remove it and everything it made",
        "doctor": "Check that this host has what pods need",
        "down": "End all pods and the daemon; objects stay and come back with the next start",
        "purge": "Remove every trace of minipod from this host",
    },
    "Other": {
        "cluster-info": "Show where the API is",
        "api-resources": "List the types of object the API has",
        "version": "Print the versions of client and server",
        "kubeconfig": "Print a kubeconfig for kubectl",
        "completion": "Print the completion script for a shell",
    },
}


class Root(click.Group):
    """Verbs are modules of this package, imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [name for verbs in VERBS.values() for name in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"minipod.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.list_commands(ctx):
            from minipod.cli.discovery import suggestion

            raise click.UsageError(
                f'unknown command "{args[0]}"{suggestion(args[0], self.list_commands(ctx))}', ctx
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs by the table alone: importing them all would take longer than a shell should wait."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=about)
            for verbs in VERBS.values()
            for name, about in verbs.items()
            if name.startswith(incomplete)
        ]
        return found or click.Command.shell_complete(self, ctx, incomplete)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        # Only the flags before the verb are this command's; the verb reads the rest its own way.
        before, after = split_at_dash(args)
        normal, _ = normalise(self.get_params(ctx), before)
        return super().parse_args(ctx, [*normal, *(["--", *after] if after is not None else [])])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for section, verbs in VERBS.items():
            with formatter.section(section):
                formatter.write_dl(list(verbs.items()))


def _root() -> Root:
    options = global_options()
    for option in options:
        option.hidden = False
    return Root(
        name="minipod",
        help="Kubernetes Pods as plain Linux processes on this machine.",
        params=list(options),
        callback=click.pass_context(_ensure_session),
        context_settings={"help_option_names": ["-h", "--help"]},
        invoke_without_command=True,
    )


def _ensure_session(ctx: click.Context) -> None:
    ctx.call_on_close(ctx.ensure_object(Session).close)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


root = _root()


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and leave with kubectl's exit codes: 1 on errors, a process's own code from exec."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a character gets a question mark, not a traceback.
            stream.reconfigure(errors="replace")
    try:
        code = run(list(sys.argv[1:] if args is None else args))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); a second error at interpreter exit would only confuse.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = UNUSABLE
    sys.exit(code)


def run(args: list[str]) -> int:
    """Run one command line; the exit code."""
    try:
        result = root.main(args, prog_name="minipod", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ProcessExitError as leaving:
        return leaving.code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.ClickException as error:
        return _usage_error(error)
    except BrokenPipeError:
        raise
    except Exception as error:
        from minipod.cli.errors import describe

        message = describe(error)
        if not message:
            raise
        print(message, file=sys.stderr)
        return UNUSABLE


def _usage_error(error: click.ClickException) -> int:
    message = error.format_message()
    print(f"error: {message[:1].lower()}{message[1:]}", file=sys.stderr)
    context = getattr(error, "ctx", None)
    if context is not None:
        print(f"See '{context.command_path} --help' for usage.", file=sys.stderr)
    return UNUSABLE
