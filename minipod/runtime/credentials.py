"""Who the process is and what it may: user, groups, capability sets, limits; the OCI process object's words.

The order is the point: the bounding set and limits need rights that the change of user takes away, and the permitted
set survives that change only when asked to.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minipod.linux import capabilities, prctl, rlimit
from minipod.runtime.child import Stage, reason, step

Warn = Callable[[str], None]

_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
_NOT_AN_ID = 0xFFFFFFFF
"""(uid_t)-1 means "leave as it is" to the kernel."""


@dataclass(frozen=True, slots=True)
class CapabilitySets:
    """Bits per set; what `process.capabilities` leaves out is empty."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0

    def limited_to(self, available: int) -> CapabilitySets:
        return CapabilitySets(*(getattr(self, name) & available for name in _SETS))

    def union(self) -> int:
        return self.bounding | self.effective | self.permitted | self.inheritable | self.ambient


def capability_sets(document: Mapping[str, Any] | None) -> CapabilitySets:
    """The sets from process.capabilities. Raises ValueError naming an unknown capability."""
    return CapabilitySets(*(capabilities.to_bits((document or {}).get(name) or ()) for name in _SETS))


def set_oom_score_adj(value: int, warn: Warn) -> None:
    """Write /proc/self/oom_score_adj: while the host's /proc is still there. A host may forbid to lower it."""
    try:
        # Not open(): a text file object costs a fresh child more than all the rest here.
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"%d" % value)
        finally:
            os.close(fd)
    except PermissionError as error:
        warn(f"oom_score_adj could not be set to {value}: {reason(error)} (CAP_SYS_RESOURCE is missing)")


def set_limits(limits: Iterable[Mapping[str, Any]], warn: Warn) -> None:
    """Apply process.rlimits; a hard limit that cannot be raised is left where it is, with a warning."""
    for entry in limits:
        name = entry["type"]
        with step(Stage.LIMITS, name, f"set {name}"):
            wanted = rlimit.limit(name, entry["soft"], entry["hard"])
            got = rlimit.set_limit(wanted)
        if got != wanted:
            instead = f"{got.soft}:{got.hard} instead of {wanted.soft}:{wanted.hard}"
            warn(f"{name} is {instead} (CAP_SYS_RESOURCE is missing)")


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int


def user_of(process: Mapping[str, Any]) -> User:
    """process.user, checked. Raises LaunchError naming it."""
    entry = process.get("user") or {}
    uid, gid = entry.get("uid") or 0, entry.get("gid") or 0
    groups = tuple(entry.get("additionalGids") or ())
    with step(Stage.USER, f"{uid}:{gid}", f"user {uid}:{gid}"):
        if not all(0 <= number < _NOT_AN_ID for number in (uid, gid, *groups)):
            raise ValueError("user and group ids go from 0 to 4294967294")
    umask = entry.get("umask")
    return User(uid, gid, groups, 0o022 if umask is None else umask & 0o777)


def take(process: Mapping[str, Any], user: User, warn: Warn) -> None:
    """Become the user with the rights that the OCI process object names; nothing can be regained afterwards."""
    with step(Stage.CAPABILITIES, "process.capabilities", "process.capabilities"):
        wanted = capability_sets(process.get("capabilities"))
    available = capabilities.permitted()
    sets = wanted.limited_to(available)
    if missing := capabilities.to_names(wanted.union() & ~available):
        warn(f"capabilities not available on this host: {', '.join(missing)}")
    if process.get("noNewPrivileges"):
        prctl.set_no_new_privs()
    with step(Stage.CAPABILITIES, "bounding", "limit the bounding set"):
        capabilities.limit_bounding(sets.bounding)
        capabilities.keep_across_setuid()
    with step(Stage.USER, f"{user.uid}:{user.gid}", f"user {user.uid}:{user.gid}"):
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
        os.umask(user.umask)
    with step(Stage.CAPABILITIES, hex(sets.permitted), "set capabilities"):
        capabilities.capset(effective=sets.effective, permitted=sets.permitted, inheritable=sets.inheritable)
        capabilities.set_ambient(sets.ambient)
