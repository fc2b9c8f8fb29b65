"""Pressure stall information: be told by the kernel when tasks stall for want of memory, instead of looking.

https://docs.kernel.org/accounting/psi.html
"""

from __future__ import annotations

import os
import select
from pathlib import Path

PRESSURE = Path("/proc/pressure")

UNPRIVILEGED_WINDOW = 2_000_000
"""Microseconds: windows that are multiples of it need no CAP_SYS_RESOURCE (Linux 6.5 and later)."""


class Trigger:
    """Fires when some task has stalled for `stall_us` within any `UNPRIVILEGED_WINDOW`; at most once per window.

    The kernel signals it as POLLPRI, which an event loop cannot wait for: `fileno()` is an epoll instance around it,
    and readable when the trigger has fired. Nothing runs in the kernel as long as nothing stalls.
    """

    def __init__(self, resource: str, *, stall_us: int, root: Path = PRESSURE) -> None:
        """`resource`: memory, io or cpu. Raises OSError: a kernel without PSI, or without permission."""
        path = root / resource
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(self._fd, f"some {stall_us} {UNPRIVILEGED_WINDOW}\0".encode())
            self._epoll = select.epoll()
            self._epoll.register(self._fd, select.EPOLLPRI)
        except OSError as error:
            os.close(self._fd)
            raise OSError(
                error.errno, f"setting a trigger: {os.strerror(error.errno or 0)}", str(path)
            ) from error

    def fileno(self) -> int:
        return self._epoll.fileno()

    def take(self) -> bool:
        """Call when readable: takes the news away. False where the descriptor had been read already."""
        return bool(self._epoll.poll(0))

    def close(self) -> None:
        self._epoll.close()
        os.close(self._fd)
