"""The shim's and the spawner's event loop: descriptors, children and a few timers on one epoll, without threads.

With nothing to do it sleeps in the kernel without a timeout. A handler that raises loses its descriptor, so a bug
costs one stream or one connection, never a busy loop or the pod.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
HANGUP = select.EPOLLHUP
ERROR = select.EPOLLERR

Handler = Callable[[int], None]
"""Called with the events that happened (READ, WRITE, HANGUP, ERROR)."""


_installed: list[object] = []
"""Handlers that this process has, or has inherited by clone from one that installed them."""


def _handle_child_signal(_signum: int, _frame: object) -> None:
    """Nothing to do: having a handler is what makes the signal write to the wake-up descriptor."""


class Timer:
    """A call to come; cancel() is safe at any time."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Poller:
    """`on_error(exception)` hears of handlers that failed."""

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._on_error = on_error
        self._stopped = False
        self._wakeup: tuple[int, int] | None = None

    def watch(self, fd: int, handler: Handler, events: int = READ) -> None:
        """Call `handler` whenever one of `events`, HANGUP or ERROR is there."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching (before the descriptor is closed). A descriptor that is not watched is fine."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        self._count += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._count, timer))
        return timer

    def watch_children(self, reap: Callable[[], None]) -> None:
        """Call `reap` after children have ended; it must take all there are (waitpid with WNOHANG)."""
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = read, write
        if _handle_child_signal not in _installed:
            signal.signal(signal.SIGCHLD, _handle_child_signal)
            _installed.append(_handle_child_signal)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)

        def drain(_events: int) -> None:
            try:
                os.read(read, 4096)
            except BlockingIOError:
                pass
            reap()

        self.watch(read, drain)

    def run(self) -> None:
        """Until stop() is called."""
        while not self._stopped:
            ready = self._epoll.poll(self._timeout())
            self._run_timers()
            # What was forgotten by an earlier handler of this round must not be called for a reused number.
            for fd, events, handler in [(fd, e, self._handlers.get(fd)) for fd, e in ready]:
                if handler is not None and self._handlers.get(fd) is handler:
                    self._call(fd, handler, events)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        """Give back what the loop itself holds; the watched descriptors are their owners'."""
        self._epoll.close()
        if self._wakeup is not None:
            signal.set_wakeup_fd(-1)
            for fd in self._wakeup:
                os.close(fd)

    def _call(self, fd: int, handler: Handler, events: int) -> None:
        try:
            handler(events)
        except Exception as error:
            # The wake-up pipe serves all children: it stays.
            if self._wakeup is None or fd != self._wakeup[0]:
                self.forget(fd)
            self._on_error(error)

    def _timeout(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                try:
                    callback()
                except Exception as error:
                    self._on_error(error)
