"""Moves a container's output from its pipes or terminal into its log, and copies to whoever is attached.

Nothing here may keep a container waiting: a full disk loses log lines, a slow attached client is let go.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from minipod.runtime.children import close_all
from minipod.runtime.journal_log import JournalLog
from minipod.runtime.logs import Clock, LineFramer, LogFile
from minipod.runtime.poller import ERROR, Poller, Timer

READ_SIZE = 64 * 1024
READS_PER_TURN = 8
"""So that one chatty container does not keep the loop from the others."""
DRAIN_LIMIT = 64 * 1024 * 1024
"""Most bytes taken at a container's end: a process outside its cgroup might go on writing for ever."""
TAP_BUFFER = 1024 * 1024
"""Bytes an attached client may lag behind (the size of its pipe)."""

REPORT_INTERVAL = 2.0
"""Seconds between reports on one log that loses lines; a disk that is nearly full would tell of every batch."""

_CLOCK = Clock()


class Output:
    """All output of one container attempt: its log, its streams and the taps on them."""

    def __init__(
        self,
        log: LogFile,
        poller: Poller,
        on_trouble: Callable[[str], None],
        journal: JournalLog | None = None,
    ) -> None:
        """`on_trouble(sentence)` is called when the log loses lines, and when it works again."""
        self._log = log
        self._journal = journal
        self._poller = poller
        self._on_trouble = on_trouble
        self._reported: tuple[int, bool] = (0, False)
        """The loss last told of, and whether the log was failing then."""
        self._report_timer: Timer | None = None
        self._streams: list[Stream] = []
        self.taps: set[Tap] = set()

    @property
    def path(self) -> Path:
        return self._log.path

    def add_stream(self, name: str, fd: int) -> None:
        """Read `fd` to its end and close it then. `name` is stdout or stderr."""
        os.set_blocking(fd, False)
        self._streams.append(Stream(self, name, fd, self._poller))

    def drain(self) -> None:
        """Take everything that is there now, and tell of every loss so far."""
        for stream in list(self._streams):
            stream.drain()
        self._report()

    def close(self) -> None:
        """End all streams and taps."""
        for stream in list(self._streams):
            stream.end()
        for tap in list(self.taps):
            tap.close()
        if self._report_timer is not None:
            self._report_timer.cancel()
        self._log.close()

    def write(self, stream: str, lines: bytes, data: bytes) -> None:
        """Log `lines`, which hold `data`, and hand `data` to the taps."""
        if lines:
            self._log.write(lines, len(data))
            if self._log.error is not None and self._report_timer is None:
                self._report_later()
            if self._journal is not None:
                self._journal.write(lines)
        for tap in list(self.taps):
            tap.put(stream, data)

    def stream_ended(self, stream: Stream) -> None:
        self._streams.remove(stream)
        if not self._streams:
            for tap in list(self.taps):
                tap.close()
            self._log.close()

    def _report_later(self) -> None:
        """Now, and again as long as there is something new to tell."""
        if self._report():
            self._report_timer = self._poller.call_later(REPORT_INTERVAL, self._report_later)
        else:
            self._report_timer = None

    def _report(self) -> bool:
        """Whether there was something to tell."""
        error = self._log.error
        now = (self._log.lost, error is not None)
        if now == self._reported:
            return False
        self._reported = now
        lost = f"{self._log.lost} bytes of output were lost"
        if error is not None:
            self._on_trouble(f"cannot write {self.path}: {error.strerror}; {lost} and more will be")
        else:
            self._on_trouble(f"{self.path} can be written again; {lost}")
        return True


class Stream:
    """One pipe, or the master side of a terminal."""

    def __init__(self, output: Output, name: str, fd: int, poller: Poller) -> None:
        self._output = output
        self._name = name
        self._fd = fd
        self._poller = poller
        self._framer = LineFramer(name)
        poller.watch(fd, lambda _events: self._readable())

    def drain(self) -> None:
        """Read until there is nothing more for now."""
        for _ in range(DRAIN_LIMIT // READ_SIZE):
            if self._take() == 0:
                return

    def _readable(self) -> None:
        for _ in range(READS_PER_TURN):
            if self._take() < READ_SIZE:
                return

    def _take(self) -> int:
        """One read; how many bytes it gave, 0 when there was nothing or the stream has ended."""
        if self._fd < 0:
            return 0
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: the last process has left the terminal
            data = b""
        if not data:
            self.end()
            return 0
        self._output.write(self._name, self._framer.feed(data, _CLOCK.stamp(time.time_ns())), data)
        return len(data)

    def end(self) -> None:
        if self._fd < 0:
            return
        self._poller.forget(self._fd)
        os.close(self._fd)
        self._fd = -1
        rest = self._framer.finish(_CLOCK.stamp(time.time_ns()))
        if rest:
            self._output.write(self._name, rest, b"")
        self._output.stream_ended(self)


class Tap:
    """An attached client's copy of the output, through pipes whose size is all it may lag behind."""

    def __init__(
        self, output: Output, names: tuple[str, ...], poller: Poller, on_close: Callable[[str], None]
    ) -> None:
        self._output = output
        self._poller = poller
        self._on_close = on_close
        self._fds: dict[str, int] = {}
        self.read_fds: dict[str, int] = {}
        """The client's ends, by stream; they belong to whoever takes them."""
        output.taps.add(self)
        try:
            for name in names:
                self._open(name)
        except OSError:
            self.close()
            close_all(self.read_fds.values())
            raise

    def _open(self, name: str) -> None:
        self.read_fds[name], fd = os.pipe2(os.O_CLOEXEC)
        self._fds[name] = fd
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, TAP_BUFFER)
        os.set_blocking(fd, False)
        self._poller.watch(fd, lambda _events: self.close("the client is gone"), ERROR)

    def put(self, stream: str, data: bytes) -> None:
        """Copy; a client that cannot take all of it is let go rather than waited for."""
        fd = self._fds.get(stream, -1)
        if fd < 0 or not data:
            return
        try:
            if os.write(fd, data) == len(data):
                return
        except OSError:  # full, or the client is gone
            pass
        self.close(f"the client fell more than {TAP_BUFFER} bytes behind")

    def close(self, reason: str = "") -> None:
        """The client reads what is still in its pipes, then the end. `reason` goes on to `on_close`."""
        if self not in self._output.taps:
            return
        self._output.taps.discard(self)
        for fd in self._fds.values():
            self._poller.forget(fd)
            os.close(fd)
        self._fds.clear()
        self._on_close(reason)
