"""prctl(2): attributes of the calling process."""

from __future__ import annotations

import ctypes

from minipod.linux.libc import encode, failed, function

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

_ulong = ctypes.c_ulong
_prctl = function("prctl", ctypes.c_int, _ulong, _ulong, _ulong, _ulong)


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """The bare call; unused arguments must be 0."""
    result: int = _prctl(option, arg2, arg3, arg4, arg5)
    if result < 0:
        failed("prctl", option, arg2, arg3)
    return result


def set_no_new_privs() -> None:
    """No execve of this process or its children grants more rights, ever again."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def set_dumpable(*, dumpable: bool) -> None:
    """Not dumpable: no core file, and ptrace and /proc/PID/{mem,fd,exe,root} need CAP_SYS_PTRACE."""
    prctl(PR_SET_DUMPABLE, int(dumpable))


def set_child_subreaper() -> None:
    """Orphans among the descendants become children of this process."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def set_parent_death_signal(signum: int) -> None:
    prctl(PR_SET_PDEATHSIG, signum)


def set_name(name: str) -> None:
    """The thread's name (comm), cut to 15 bytes."""
    buffer = ctypes.create_string_buffer(encode(name)[:15])
    prctl(PR_SET_NAME, ctypes.addressof(buffer))
