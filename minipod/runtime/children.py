"""The children of a shim: from clone to the execve that makes them what they are, to the one place that reaps them."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from minipod.runtime import sync
from minipod.runtime.launch import Launched
from minipod.runtime.poller import Poller
from minipod.runtime.sync import ConsoleReady, StartWarning
from minipod.runtime.types import StartFailure


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


class ChildEvents(Protocol):
    """What an owner of a child hears: started and ended, or failed; times in µs."""

    def started(self, at: int) -> None:
        """Its own code runs."""

    def ended(self, code: int, signum: int, at: int) -> None:
        """It has ended after it was started. `code` is 128 + signal when a signal ended it."""

    def failed(self, failure: StartFailure, at: int) -> None:
        """It has ended and was never started."""


class Child:
    """One launched process. Owns its descriptors until it is reaped."""

    def __init__(self, launched: Launched, events: ChildEvents, poller: Poller) -> None:
        self.pid = launched.pid
        self.pidfd = launched.pidfd
        self.warnings: list[str] = []
        self.console = -1
        """Master side of its terminal, if it has one; whoever takes it sets this to -1."""
        self._events = events
        self._poller = poller
        self._sync = launched.sync_fd
        self._failure: StartFailure | None = None
        self._started = False
        poller.watch(self._sync, self._on_sync)

    def proceed(self) -> None:
        """Let a child that was told to wait go on to its execve."""
        if self._sync >= 0:
            sync.proceed(self._sync)

    def reaped(self, status: int) -> None:
        """Called by the reaper with waitpid's status."""
        at = now_us()
        if self._sync >= 0:
            self._on_sync(0)
            self._close_sync()  # whatever still holds the other end is no longer the child
        os.close(self.pidfd)
        self.pidfd = -1
        code = os.waitstatus_to_exitcode(status)
        if self._failure is not None:
            self._close_console()
            self._events.failed(self._failure, at)
        else:
            self._tell_started(at)
            self._events.ended(128 - code if code < 0 else code, max(-code, 0), at)

    def _on_sync(self, _events: int) -> None:
        while True:
            try:
                event = sync.receive(self._sync)
            except BlockingIOError:
                return
            except (OSError, ValueError, LookupError, TypeError) as error:
                event = _unreadable(error)
            if event is None:
                self._close_sync()
                # A failure is told once the process is gone, so that nothing of it is left by then.
                if self._failure is None:
                    self._tell_started(now_us())
                return
            if isinstance(event, ConsoleReady):
                self._close_console()
                self.console = event.master
            elif isinstance(event, StartWarning):
                self.warnings.append(event.message)
            else:
                self._failure = event

    def _tell_started(self, at: int) -> None:
        if not self._started:
            self._started = True
            self._events.started(at)

    def _close_sync(self) -> None:
        if self._sync >= 0:
            self._poller.forget(self._sync)
            os.close(self._sync)
            self._sync = -1

    def _close_console(self) -> None:
        if self.console >= 0:
            os.close(self.console)
            self.console = -1


class Children:
    """All children by pid. Registration happens in the same turn of the loop as the clone: no exit can be missed."""

    def __init__(self, poller: Poller, on_error: Callable[[Exception], None]) -> None:
        """`on_error` hears of owners that failed at an event; the others still get theirs."""
        self._poller = poller
        self._on_error = on_error
        self._known: dict[int, Child] = {}
        self._when_none: list[Callable[[], None]] = []
        poller.watch_children(self.reap)

    @property
    def pids(self) -> list[int]:
        return sorted(self._known)

    def when_none(self, callback: Callable[[], None]) -> None:
        """Call back once the last child has been reaped; at once when there is none."""
        if self._known:
            self._when_none.append(callback)
        else:
            callback()

    def add(self, launched: Launched, events: ChildEvents) -> Child:
        child = Child(launched, events, self._poller)
        self._known[child.pid] = child
        return child

    def reap(self) -> None:
        """Take every child that has ended; orphans that became ours (subreaper) are just taken."""
        while ended := _wait():
            pid, status = ended
            child = self._known.pop(pid, None)
            if child is not None:
                try:
                    child.reaped(status)
                except Exception as error:
                    self._on_error(error)
        if not self._known:
            waiting, self._when_none = self._when_none, []
            for callback in waiting:
                callback()


def _wait() -> tuple[int, int] | None:
    """(pid, status) of a child that has ended, or None."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _unreadable(error: Exception) -> StartFailure:
    return StartFailure(
        stage="sync",
        errno=errno.EPROTO,
        operand="sync socket",
        message=f"unreadable word of a child: {error!r}",
    )


def failure_of(stage: str, error: OSError) -> StartFailure:
    """A failure on the parent's side of a start, in the form in which a child's arrives."""
    return StartFailure(
        stage=stage,
        errno=error.errno or 0,
        operand=str(error.filename or ""),
        message=f"cannot {stage}: {error}",
    )
