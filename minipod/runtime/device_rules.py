"""Which device nodes a container may open or make: linux.resources.devices as rules for its cgroup.

Without this a container with CAP_MKNOD, which it has by default, could make the node of the host's disk and read it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from minipod.linux import bpf
from minipod.linux.bpf import (
    ANY_ACCESS,
    ANY_NUMBER,
    ANY_TYPE,
    BLOCK,
    CHARACTER,
    MKNOD,
    READ,
    WRITE,
    DeviceRule,
)

_TYPES = {"a": ANY_TYPE, "b": BLOCK, "c": CHARACTER}
_ACCESS = {"r": READ, "w": WRITE, "m": MKNOD}
_PTS_MAJOR = 136

DEFAULTS = (
    # A node may be made, for archives and backups; opening it is another matter.
    DeviceRule(True, CHARACTER, ANY_NUMBER, ANY_NUMBER, MKNOD),
    DeviceRule(True, BLOCK, ANY_NUMBER, ANY_NUMBER, MKNOD),
    *(DeviceRule(True, CHARACTER, 1, minor, ANY_ACCESS) for minor in (3, 5, 7, 8, 9)),
    *(DeviceRule(True, CHARACTER, 5, minor, ANY_ACCESS) for minor in (0, 1, 2)),
    DeviceRule(True, CHARACTER, _PTS_MAJOR, ANY_NUMBER, ANY_ACCESS),
)
"""What every container gets on top of its own rules: null, zero, full, random, urandom, tty, console, ptmx, pts."""

NOTHING = DeviceRule(False, ANY_TYPE, ANY_NUMBER, ANY_NUMBER, ANY_ACCESS)
STANDARD = (NOTHING, *DEFAULTS)
"""The rules of nearly every container."""


def plan(entries: Iterable[Mapping[str, Any]]) -> tuple[DeviceRule, ...]:
    """The rules in order, the defaults last; empty when everything is allowed (a privileged container).

    Own rules that repeat a default are left out: the same program then does for most containers. Raises
    ValueError for an unknown type or access.
    """
    rules = [_rule(entry) for entry in entries]
    if rules and rules[-1] == DeviceRule(True, ANY_TYPE, ANY_NUMBER, ANY_NUMBER, ANY_ACCESS):
        return ()
    return (*(rule for rule in rules if rule not in DEFAULTS), *DEFAULTS)


def _rule(entry: Mapping[str, Any]) -> DeviceRule:
    kind, letters = entry.get("type") or "a", entry.get("access") or "rwm"
    if kind not in _TYPES or not set(letters) <= set(_ACCESS):
        raise ValueError(f"linux.resources.devices: type {kind!r} or access {letters!r} is not known")
    return DeviceRule(
        bool(entry.get("allow")),
        _TYPES[kind],
        _number(entry.get("major")),
        _number(entry.get("minor")),
        functools.reduce(lambda mask, letter: mask | _ACCESS[letter], letters, 0),
    )


def _number(value: int | None) -> int:
    return ANY_NUMBER if value is None or value < 0 else value


def apply(cgroup_fd: int, rules: tuple[DeviceRule, ...]) -> None:
    """Put the rules on the cgroup, before anything runs in it."""
    if rules:
        bpf.attach_device_program(cgroup_fd, program(rules))


@functools.lru_cache(maxsize=8)
def program(rules: tuple[DeviceRule, ...]) -> int:
    """The program's descriptor, loaded once per process: most containers have the same rules."""
    return bpf.load_device_program(rules)
