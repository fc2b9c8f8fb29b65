"""Pseudo-terminals of a given devpts instance; see pts(4), ioctl_tty(2).

os.openpty uses the caller's own /dev/ptmx and opens the other side by name; a container's terminal must come from
its own devpts, and be opened without trusting any name that the container could have replaced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import termios

from minipod.linux.openat2 import RESOLVE_NO_SYMLINKS, openat2

TIOCGPTPEER = 0x5441
TIOCSPTLCK = 0x40045431
_PTMX = os.makedev(5, 2)
_PTS_MAJORS = range(136, 144)


def open_terminal(devpts_fd: int) -> tuple[int, int]:
    """A new (master, slave) pair from the devpts whose root directory `devpts_fd` is; both close-on-exec.

    Raises OSError(ENODEV) when that directory's `ptmx` is not the kernel's multiplexer.
    """
    flags = os.O_RDWR | os.O_NOCTTY
    master = openat2(devpts_fd, "ptmx", flags, resolve=RESOLVE_NO_SYMLINKS)
    try:
        found = os.fstat(master)
        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _PTMX:
            raise OSError(errno.ENODEV, "not the pseudo-terminal multiplexer", "ptmx")
        unlock(master)
        slave = fcntl.ioctl(master, TIOCGPTPEER, flags | os.O_CLOEXEC)
        if os.major(os.fstat(slave).st_rdev) not in _PTS_MAJORS:
            os.close(slave)
            raise OSError(errno.ENODEV, "not a pseudo-terminal", "ptmx")
    except BaseException:
        os.close(master)
        raise
    return master, slave


def unlock(master: int) -> None:
    """Let the slave side be opened (unlockpt(3))."""
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))


def set_controlling_terminal(slave: int) -> None:
    """Make `slave` the controlling terminal of the caller, who must lead a session without one (TIOCSCTTY)."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def set_window_size(fd: int, *, width: int, height: int) -> None:
    """Columns and rows; the foreground process group gets SIGWINCH when they change."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
