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
_NOBODY_IDS = 0xFFFFFFFF
"""(uid_t)-1 means "leave as it is" to the kernel, so it is no user."""


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


def take(process: Mapping[str, Any], warn: Warn) -> None:
    """Become the user with the rights that the OCI process object names; nothing can be regained afterwards."""
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
    _set_user(process.get("user") or {})
    with step(Stage.CAPABILITIES, hex(sets.permitted), "set capabilities"):
        capabilities.capset(effective=sets.effective, permitted=sets.permitted, inheritable=sets.inheritable)
        capabilities.set_ambient(sets.ambient)


def _set_user(user: Mapping[str, Any]) -> None:
    uid, gid = user.get("uid") or 0, user.get("gid") or 0
    groups = user.get("additionalGids") or ()
    name = f"{uid}:{gid}"
    with step(Stage.USER, name, f"user {name}"):
        if not all(0 <= number < _NOBODY_IDS for number in (uid, gid, *groups)):
            raise ValueError("user and group ids go from 0 to 4294967294")
        os.setgroups(list(groups))
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        os.umask(user["umask"] if user.get("umask") is not None else 0o022)
