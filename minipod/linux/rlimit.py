"""Resource limits by the names the OCI runtime-spec and getrlimit(2) give them."""

from __future__ import annotations

import errno
import resource
from dataclasses import dataclass

INFINITY = resource.RLIM_INFINITY

_UNLIMITED = (1 << 64) - 1
"""What an unlimited value is in JSON, where RLIM_INFINITY is an unsigned number."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`name` like RLIMIT_NOFILE; INFINITY for none."""

    name: str
    soft: int
    hard: int


def limit(name: str, soft: int, hard: int) -> Limit:
    """A limit from unsigned JSON numbers. Raises ValueError for a name the kernel does not have."""
    if not name.startswith("RLIMIT_") or not isinstance(getattr(resource, name, None), int):
        raise ValueError(f"unknown resource limit: {name}")
    return Limit(name, *(INFINITY if value >= _UNLIMITED else value for value in (soft, hard)))


def set_limit(wanted: Limit) -> Limit:
    """setrlimit(2) for the caller; returns what was set.

    Raising a hard limit needs CAP_SYS_RESOURCE, which restricted hosts withhold even from root: then the limit gets
    as near as the present hard one allows, and the result differs from what was wanted.
    """
    number = getattr(resource, wanted.name)
    try:
        resource.setrlimit(number, (wanted.soft, wanted.hard))
    except (PermissionError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.EPERM:
            raise
        _, ceiling = resource.getrlimit(number)
        hard = _lower(wanted.hard, ceiling)
        set_to = Limit(wanted.name, _lower(wanted.soft, hard), hard)
        resource.setrlimit(number, (set_to.soft, set_to.hard))
        return set_to
    return wanted


def raise_open_files() -> Limit:
    """Let the caller open as many files as its hard limit allows; returns the limit as it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return Limit("RLIMIT_NOFILE", soft, hard)


def _lower(a: int, b: int) -> int:
    if INFINITY in (a, b):
        return b if a == INFINITY else a
    return min(a, b)
