"""`minipod completion SHELL`: the script that makes a shell ask us what could come next."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from minipod.cli.command import Verb
from minipod.cli.errors import CommandError

SHELLS = ("bash", "zsh", "fish")

COMPLETE_VARIABLE = "_MINIPOD_COMPLETE"


@click.command("completion", cls=Verb)
@click.argument("shell", metavar="|".join(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    \b
    source <(minipod completion bash)
    minipod completion zsh > "${fpath[1]}/_minipod"
    minipod completion fish | source
    """
    if shell not in SHELLS:
        raise CommandError(f'unsupported shell "{shell}"; there are {", ".join(SHELLS)}')
    kind = get_completion_class(shell)
    assert kind is not None
    print(kind(context.find_root().command, {}, "minipod", COMPLETE_VARIABLE).source())
