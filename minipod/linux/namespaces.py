"""Namespaces: unshare(2), setns(2) by pidfd or namespace file, and the flags; see namespaces(7).

Python 3.11 has neither call. setns with several flags at once needs a pidfd (Linux 5.8) and is all or nothing.
"""

from __future__ import annotations

import ctypes

from minipod.linux.libc import encode, failed, function

CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_unshare = function("unshare", ctypes.c_int)
_setns = function("setns", ctypes.c_int, ctypes.c_int)
_sethostname = function("sethostname", ctypes.c_char_p, ctypes.c_size_t)
_setdomainname = function("setdomainname", ctypes.c_char_p, ctypes.c_size_t)


def unshare(flags: int) -> None:
    """unshare(2). CLONE_NEWPID concerns children only."""
    if _unshare(flags) < 0:
        failed("unshare", hex(flags))


def setns(fd: int, nstype: int) -> None:
    """setns(2): `fd` is a namespace file (one flag, or 0) or a pidfd (any flags). CLONE_NEWPID: children only."""
    if _setns(fd, nstype) < 0:
        failed("setns", f"fd {fd}", hex(nstype))


def sethostname(name: str) -> None:
    """sethostname(2), of the caller's uts namespace."""
    raw = encode(name)
    if _sethostname(raw, len(raw)) < 0:
        failed("sethostname", name)


def setdomainname(name: str) -> None:
    """setdomainname(2), of the caller's uts namespace."""
    raw = encode(name)
    if _setdomainname(raw, len(raw)) < 0:
        failed("setdomainname", name)
