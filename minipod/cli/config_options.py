"""The daemon's settings as flags, made from the one list of them in minipod.config."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import click

from minipod.cli.errors import CommandError
from minipod.config import Config, ConfigError, flag_name

F = TypeVar("F", bound=Callable[..., Any])


def config_options(names: Collection[str] = ()) -> Callable[[F], F]:
    """A flag for each setting (or each of `names`), and --config; they all arrive as text or None."""

    def decorate(function: F) -> F:
        for field in reversed(dataclasses.fields(Config)):
            if not names or field.name in names:
                default = field.metadata["default"]
                about = field.metadata["help"] + (f" [{default}]" if default else "")
                function = click.option(flag_name(field.name), default=None, metavar="VALUE", help=about)(
                    function
                )
        return click.option(
            "--config", "config_file", default=None, metavar="FILE", help="YAML file with the same settings."
        )(function)

    return decorate


def read_config(config_file: str | None, flags: dict[str, str | None]) -> Config:
    """All sources put together. Raises CommandError that names the source and the key."""
    try:
        return Config.from_sources(file=Path(config_file) if config_file else None, flags=flags)
    except ConfigError as error:
        raise CommandError(str(error)) from error
