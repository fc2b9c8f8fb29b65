"""Options that several verbs share, worded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from minipod.cli.command import OptionalValue

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])

Decorator = Callable[[F], F]


def flag(*names: str, help: str, default: bool = False) -> Callable[[F], F]:  # noqa: A002 (click's own word)
    """A switch: --wait, --wait=true, --wait=false."""
    return click.option(*names, is_flag=True, flag_value=True, default=default, help=help)


def filename(*, required: bool = False) -> Callable[[F], F]:
    """-f FILE, any number of times, and -R."""

    def decorate(function: F) -> F:
        function = flag("-R", "--recursive", help="Go down into the directories given with -f.")(function)
        return click.option(
            "-f",
            "--filename",
            "filenames",
            multiple=True,
            required=required,
            metavar="FILE",
            help="A file, a directory or - for standard input; may be repeated.",
        )(function)

    return decorate


def output(formats: str) -> Callable[[F], F]:
    return click.option("-o", "--output", default="", metavar="FORMAT", help=f"Print as {formats}")


def selector() -> Callable[[F], F]:
    return click.option(
        "-l",
        "--selector",
        default="",
        metavar="LABELS",
        help="Only objects with these labels (a=b,c!=d,e in (f,g)).",
    )


def field_selector() -> Callable[[F], F]:
    return click.option(
        "--field-selector",
        default="",
        metavar="FIELDS",
        help="Only objects with these fields (status.phase=Running).",
    )


def all_namespaces() -> Callable[[F], F]:
    return flag("-A", "--all-namespaces", help="In every namespace.")


def container(about: str = "The container; default: the pod's first.") -> Callable[[F], F]:
    return click.option(
        "-c",
        "--container",
        default="",
        metavar="NAME",
        help=about,
        shell_complete=completer("containers"),
    )


def dry_run() -> Callable[[F], F]:
    return click.option(
        "--dry-run",
        cls=OptionalValue,
        alone="client",
        type=click.Choice(["none", "client", "server"]),
        default="none",
        help="client: only print what would be sent; server: let the server check it without keeping it.",
    )


def timeout(default: str, about: str) -> Callable[[F], F]:
    return click.option("--timeout", default=default, metavar="TIME", help=about)


def completer(what: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completion by a function of minipod.cli.completing, which is imported only while a shell completes."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
        from minipod.cli import completing

        return completing.complete(what, ctx, incomplete)

    return complete


def validate() -> Callable[[F], F]:
    return click.option(
        "--validate",
        cls=OptionalValue,
        alone="strict",
        type=click.Choice(["strict", "warn", "ignore"]),
        default="strict",
        help="What becomes of fields that the type does not have: an error, a warning, nothing.",
    )
