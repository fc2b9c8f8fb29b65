"""What the flags of `run` and `debug` say of a container alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minipod.cli.errors import CommandError

Obj = dict[str, Any]


def container_from_flags(
    name: str, words: Sequence[str], flags: Mapping[str, Any], *, replaces_entrypoint: bool
) -> Obj:
    """Name, image, image_pull_policy and env. `words`: what followed --. Raises CommandError."""
    container: Obj = {"name": name, "image": flags["image"]}
    if words:
        container["command" if replaces_entrypoint else "args"] = list(words)
    if flags["image_pull_policy"]:
        container["imagePullPolicy"] = flags["image_pull_policy"]
    if flags["env"]:
        container["env"] = [
            dict(zip(("name", "value"), pair(v, "--env"), strict=True)) for v in flags["env"]
        ]
    return container


def pair(text: str, flag: str) -> tuple[str, str]:
    """NAME=VALUE. Raises CommandError, which names the flag."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise CommandError(f'{flag}: "{text}" is not NAME=VALUE')
    return key, value
