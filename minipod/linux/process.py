"""Processes: clone3(2) into a cgroup with a pidfd, and a process's start time as its identity.

os.pidfd_open, signal.pidfd_send_signal and os.waitid(P_PIDFD, ...) are in the standard library and used as they are.
"""

from __future__ import annotations

import ctypes
import os
import signal

from minipod.linux.libc import failed, system_call

CLONE_PIDFD = 0x00001000
CLONE_INTO_CGROUP = 0x200000000


class _CloneArgs(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


# The lock is held across the call: the child would otherwise ask for it with the memory of one process and the
# thread of another.
_clone3 = system_call(435, ctypes.POINTER(_CloneArgs), ctypes.c_size_t, hold_gil=True)
_close_range = system_call(436, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint)


def clone3(flags: int, *, cgroup_fd: int = -1) -> tuple[int, int]:
    """clone3(2) like fork(2): (0, -1) in the child, (pid, pidfd) in the parent; the pidfd is close-on-exec.

    With `cgroup_fd` the child is born in that cgroup. Only for a single-threaded process whose child execs soon:
    neither Python's nor the C library's at-fork handlers run. CLONE_NEWCGROUP takes the *parent's* cgroup as root,
    so unshare it in the child instead.
    """
    pidfd = ctypes.c_int(-1)
    args = _CloneArgs(
        flags=flags | CLONE_PIDFD, pidfd=ctypes.addressof(pidfd), exit_signal=int(signal.SIGCHLD)
    )
    if cgroup_fd >= 0:
        args.flags |= CLONE_INTO_CGROUP
        args.cgroup = cgroup_fd
    pid = _clone3(args, ctypes.sizeof(args))
    if pid < 0:
        failed("clone3", hex(args.flags))
    return pid, (pidfd.value if pid else -1)


def close_range(first: int, last: int) -> None:
    """close_range(2): close all descriptors from `first` to `last` (~0: the highest) in one call."""
    if _close_range(first, last & 0xFFFFFFFF, 0) < 0:
        failed("close_range", first, last)


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc_pid_stat(5), field 22): with the pid, its identity.

    Raises ProcessLookupError or FileNotFoundError when there is none.
    """
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # The command name may hold spaces and parentheses.
        return int(os.read(fd, 4096).rpartition(b")")[2].split()[19])
    finally:
        os.close(fd)


def set_title(title: str) -> None:
    """What ps shows as this process's command line: written over the arguments it was started with, and cut to fit.

    The place is in proc_pid_stat(5), fields 48 and 49.
    """
    fd = os.open("/proc/self/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fields = os.read(fd, 4096).rpartition(b")")[2].split()
    finally:
        os.close(fd)
    start, end = int(fields[45]), int(fields[46])
    if start:
        ctypes.memmove(start, title.encode().ljust(end - start, b"\0")[: end - start - 1], end - start - 1)
