"""Capabilities: names and bits, and the five sets of a thread; see capabilities(7), capget(2), prctl(2).

A set is an int with one bit per capability, as in /proc/PID/status. Names are the kernel's: CAP_NET_BIND_SERVICE.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterable

from minipod.linux.libc import failed, function
from minipod.linux.prctl import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP,
    PR_CAPBSET_READ,
    PR_SET_KEEPCAPS,
    prctl,
)

NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""By bit number."""

_BITS = {name: 1 << bit for bit, name in enumerate(NAMES)}
ALL = (1 << len(NAMES)) - 1

_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_DataPair = _Data * 2
_capset = function("capset", ctypes.POINTER(_Header), ctypes.POINTER(_DataPair))
_capget = function("capget", ctypes.POINTER(_Header), ctypes.POINTER(_DataPair))


def to_bits(names: Iterable[str]) -> int:
    """The set of these capabilities. Raises ValueError naming one that this table does not have."""
    bits = 0
    for name in names:
        if name not in _BITS:
            raise ValueError(f"unknown capability: {name}")
        bits |= _BITS[name]
    return bits


def to_names(bits: int) -> list[str]:
    """The names in a set, by bit number."""
    return [name for bit, name in enumerate(NAMES) if bits >> bit & 1]


def permitted() -> int:
    """The caller's permitted set."""
    header, data = _Header(_VERSION_3, 0), _DataPair()
    if _capget(header, data) < 0:
        failed("capget")
    return int(data[0].permitted) | int(data[1].permitted) << 32


def capset(*, effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for the caller."""
    low, high = 0xFFFFFFFF, 32
    data = _DataPair(
        _Data(effective & low, permitted & low, inheritable & low),
        _Data(effective >> high, permitted >> high, inheritable >> high),
    )
    if _capset(_Header(_VERSION_3, 0), data) < 0:
        failed("capset", hex(effective), hex(permitted), hex(inheritable))


def keep_across_setuid() -> None:
    """Let the permitted set survive the change from uid 0 to another; execve ends this."""
    prctl(PR_SET_KEEPCAPS, 1)


@functools.cache
def last() -> int:
    """The highest capability number that the running kernel knows; it may be newer than this table."""
    with open("/proc/sys/kernel/cap_last_cap", "rb", buffering=0) as file:
        return int(file.read())


def bounding() -> int:
    """The caller's bounding set."""
    bits = 0
    for bit in range(last() + 1):
        bits |= prctl(PR_CAPBSET_READ, bit) << bit
    return bits


def limit_bounding(keep: int, last_bit: int) -> None:
    """Drop all up to `last_bit` (see `last`) but those in `keep` from the bounding set. Needs CAP_SETPCAP."""
    for bit in range(last_bit + 1):
        if not keep >> bit & 1:
            prctl(PR_CAPBSET_DROP, bit)


def set_ambient(bits: int) -> None:
    """Make `bits` the ambient set; each must be permitted and inheritable (EPERM otherwise)."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for bit in range(bits.bit_length()):
        if bits >> bit & 1:
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit)
