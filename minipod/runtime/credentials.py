"""Who the process is and what it may: user, groups, capability sets, limits; the OCI process object's words.

`plan` reads and checks the document, `take` acts. There the order is the point: the bounding set and limits need rights
that the change of user takes away, and the permitted set survives that change only when asked to.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minipod.linux import capabilities, oom_score, prctl, rlimit
from minipod.linux.rlimit import Limit
from minipod.runtime.child import Stage, step

Warn = Callable[[str], None]

_NOT_AN_ID = 0xFFFFFFFF
"""(uid_t)-1 means "leave as it is" to the kernel."""


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int


@dataclass(frozen=True, slots=True)
class CapabilitySets:
    """Bits per set; what `process.capabilities` leaves out is empty."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a process is to be. `unavailable` are capabilities asked for that this host withholds even from root."""

    user: User
    sets: CapabilitySets
    unavailable: tuple[str, ...]
    last_capability: int
    no_new_privs: bool
    limits: tuple[Limit, ...]
    oom_score_adj: int | None


def plan(process: Mapping[str, Any]) -> Credentials:
    """From an OCI process object. Raises LaunchError naming what is wrong in it."""
    available, last = _available()
    with step(Stage.CAPABILITIES, "process.capabilities", "process.capabilities"):
        sets, asked = capability_sets(process.get("capabilities") or {}, available)
    return Credentials(
        user=_user(process.get("user") or {}),
        sets=sets,
        unavailable=tuple(capabilities.to_names(asked & ~available)),
        last_capability=last,
        no_new_privs=bool(process.get("noNewPrivileges")),
        limits=tuple(_limits(process.get("rlimits") or ())),
        oom_score_adj=process.get("oomScoreAdj"),
    )


@functools.cache
def _available() -> tuple[int, int]:
    return capabilities.permitted(), capabilities.last()


def capability_sets(document: Mapping[str, Any], available: int) -> tuple[CapabilitySets, int]:
    """(the sets as far as available, the union of all that was asked for). Raises ValueError naming an unknown one."""
    bits = {name: capabilities.to_bits(document.get(name) or ()) for name in CapabilitySets.__slots__}
    asked = functools.reduce(int.__or__, bits.values())
    return CapabilitySets(**{name: value & available for name, value in bits.items()}), asked


def _user(entry: Mapping[str, Any]) -> User:
    uid, gid = entry.get("uid") or 0, entry.get("gid") or 0
    groups = tuple(entry.get("additionalGids") or ())
    with step(Stage.USER, f"{uid}:{gid}", f"user {uid}:{gid}"):
        if not all(0 <= number < _NOT_AN_ID for number in (uid, gid, *groups)):
            raise ValueError("user and group ids go from 0 to 4294967294")
    umask = entry.get("umask")
    return User(uid, gid, groups, 0o022 if umask is None else umask & 0o777)


def _limits(entries: Iterable[Mapping[str, Any]]) -> Iterable[Limit]:
    for entry in entries:
        with step(Stage.LIMITS, entry["type"], "process.rlimits"):
            yield rlimit.limit(entry["type"], entry["soft"], entry["hard"])


def set_oom_score_adj(value: int, warn: Warn) -> None:
    """Write /proc/self/oom_score_adj: while the host's /proc is still there. A host may forbid to lower it."""
    if not oom_score.set_own(value):
        refused = os.strerror(errno.EACCES).lower()
        warn(f"oom_score_adj could not be set to {value}: {refused} (CAP_SYS_RESOURCE is missing)")


def set_limits(limits: Iterable[Limit], warn: Warn) -> None:
    """Apply limits; a hard one that cannot be raised is left where it is, with a warning."""
    for wanted in limits:
        with step(Stage.LIMITS, wanted.name, f"set {wanted.name}"):
            got = rlimit.set_limit(wanted)
        if got != wanted:
            instead = f"{got.soft}:{got.hard} instead of {wanted.soft}:{wanted.hard}"
            warn(f"{wanted.name} is {instead} (CAP_SYS_RESOURCE is missing)")


def take(wanted: Credentials, warn: Warn) -> None:
    """Become the user with these rights; nothing can be regained afterwards."""
    sets, user = wanted.sets, wanted.user
    if wanted.unavailable:
        warn(f"capabilities not available on this host: {', '.join(wanted.unavailable)}")
    if wanted.no_new_privs:
        prctl.set_no_new_privs()
    with step(Stage.CAPABILITIES, "bounding", "limit the bounding set"):
        capabilities.limit_bounding(sets.bounding, wanted.last_capability)
        capabilities.keep_across_setuid()
    with step(Stage.USER, f"{user.uid}:{user.gid}", f"user {user.uid}:{user.gid}"):
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
        os.umask(user.umask)
    with step(Stage.CAPABILITIES, hex(sets.permitted), "set capabilities"):
        capabilities.capset(effective=sets.effective, permitted=sets.permitted, inheritable=sets.inheritable)
        capabilities.set_ambient(sets.ambient)
