"""A click command that takes its arguments as kubectl does.

kubectl's flags (pflag) differ from click's: `-o=json` and `--wait=false` are usual, `--dry-run` may stand alone, the
global flags may come before or after the verb, and what follows `--` is another program's command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from minipod.cli.session import Session

TRUE = frozenset(("true", "t", "1", "True", "TRUE"))
FALSE = frozenset(("false", "f", "0", "False", "FALSE"))


class OptionalValue(click.Option):
    """An option that may stand without a value; it then has the value `alone`, and never takes the next word."""

    def __init__(self, *args: Any, alone: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.alone = alone


class Verb(click.Command):
    """One verb. Words after `--` are kept apart: see `after_dash`."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.extend(global_options())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.ensure_object(Session)
        before, after = split_at_dash(args)
        ctx.meta["minipod.after_dash"] = after
        normal, off = normalise(self.get_params(ctx), before)
        rest = super().parse_args(ctx, normal)
        ctx.params.update(dict.fromkeys(off, False))
        return rest

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        formatter.write("\nFlags of every command (before or after the verb): minipod --help\n")


def after_dash() -> list[str] | None:
    """The words after `--` on the current command line; None when there was no `--`."""
    words: list[str] | None = click.get_current_context().meta["minipod.after_dash"]
    return words


def split_at_dash(args: Sequence[str]) -> tuple[list[str], list[str] | None]:
    if "--" not in args:
        return list(args), None
    at = list(args).index("--")
    return list(args[:at]), list(args[at + 1 :])


def normalise(params: Sequence[click.Parameter], args: Sequence[str]) -> tuple[list[str], list[str]]:
    """pflag's spellings turned into click's, and the names of the flags that were switched off with `=false`.

    Raises click.UsageError for a flag whose value is neither true nor false.
    """
    options = {
        text: p for p in params if isinstance(p, click.Option) for text in (*p.opts, *p.secondary_opts)
    }
    out: list[str] = []
    off: list[str] = []
    words = iter(args)
    for word in words:
        if word.startswith("--"):
            takes_next = _long(word, options, out, off)
        elif word.startswith("-") and len(word) > 1:
            takes_next = _short(word, options, out, off)
        else:
            out.append(word)
            continue
        if takes_next and (value := next(words, None)) is not None:
            out.append(value)
    return out, off


def _long(word: str, options: dict[str, click.Option], out: list[str], off: list[str]) -> bool:
    """Append the word's normal form; True when the next word is its value."""
    name, equals, value = word.partition("=")
    option = options.get(name)
    if option is None:
        out.append(word)
        return False
    if option.is_flag:
        _switch(option, name, value if equals else "true", out, off)
        return False
    if isinstance(option, OptionalValue) and not equals:
        out.append(f"{name}={option.alone}")
        return False
    out.append(word)
    return not equals


def _short(word: str, options: dict[str, click.Option], out: list[str], off: list[str]) -> bool:
    """The same for a bundle of one-letter options, the last of which may have a value: -itc=name."""
    for at in range(1, len(word)):
        name, rest = "-" + word[at], word[at + 1 :]
        option = options.get(name)
        if option is None:
            out.append(word if at == 1 else "-" + word[at:])
            return False
        if not option.is_flag:
            out.append(name + rest.removeprefix("="))
            return not rest
        if rest.startswith("="):
            _switch(option, name, rest[1:], out, off)
            return False
        out.append(name)
    return False


def _switch(option: click.Option, name: str, value: str, out: list[str], off: list[str]) -> None:
    if value in TRUE:
        out.append(name)
    elif value in FALSE:
        off.append(str(option.name))
    else:
        raise click.UsageError(f'invalid value "{value}" for {name}: expected true or false')


def global_options() -> list[click.Option]:
    """The flags of every command. They set the Session's fields and are no parameters of the verb."""

    def remember(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
        if value is not None:
            setattr(ctx.ensure_object(Session), str(option.name), value)
        return value

    def option(*names: str, **attributes: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=remember, hidden=True, **attributes)

    return [
        option(
            "--socket", metavar="PATH", help="the API's socket [MINIPOD_SOCKET; /run/minipod/minipod.sock]"
        ),
        option("--kubeconfig", metavar="FILE", help="a kubeconfig, to reach an API over HTTPS instead"),
        option("-n", "--namespace", metavar="NAME", help="the namespace to work in [default]"),
        option(
            "-v", "--v", "verbosity", type=int, metavar="LEVEL", help="6: print each request; 8: bodies too"
        ),
        option("--request-timeout", metavar="TIME", help='give up on an answer after, such as "5s" [never]'),
    ]
