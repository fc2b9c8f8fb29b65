"""What `TYPE NAME...`, `TYPE/NAME...` and `TYPE,TYPE` on a command line name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minipod.cli.discovery import ApiResource
from minipod.cli.errors import CommandError

MIXED = "there is no need to name the type twice: write either TYPE NAME... or TYPE/NAME..., such as pod/web"


@dataclass(frozen=True, slots=True)
class Target:
    """One resource, and the names asked for; no names means all of them."""

    resource: ApiResource
    names: tuple[str, ...] = ()


def parse_targets(
    words: Sequence[str], find: Callable[[str], list[ApiResource]], *, default: str = ""
) -> list[Target]:
    """Read the words. `find` resolves a type; `default` is the type of a first word without one (logs, exec: pods).

    Raises CommandError.
    """
    if not words:
        raise CommandError(
            'name what you mean, such as "pods" or "pod/web"; "minipod api-resources" lists the types'
        )
    if any("/" in word for word in words):
        return _with_slash(words, find, default)
    if default:
        return [Target(find(default)[0], tuple(words))]
    resources = [resource for word in words[0].split(",") if word for resource in find(word)]
    names = tuple(dict.fromkeys(words[1:]))
    return [Target(resource, names) for resource in dict.fromkeys(resources)]


def _with_slash(
    words: Sequence[str], find: Callable[[str], list[ApiResource]], default: str
) -> list[Target]:
    targets: list[Target] = []
    for word in words:
        kind, slash, name = word.partition("/")
        if not slash and default:
            kind, name = default, word
        elif not slash:
            raise CommandError(MIXED)
        if not kind or not name or "/" in name:
            raise CommandError(f'"{word}" is not TYPE/NAME, such as pod/web')
        resources = find(kind)
        if len(resources) != 1:
            raise CommandError(f'"{kind}" is more than one type; TYPE/NAME takes one')
        if targets and targets[-1].resource == resources[0]:
            targets[-1] = Target(resources[0], (*targets[-1].names, name))
        else:
            targets.append(Target(resources[0], (name,)))
    return targets
