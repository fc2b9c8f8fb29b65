"""A conversation with a process in a container: our standard streams to it and its to ours.

The main thread copies output; a second one copies input and passes on changes of the terminal's size, so that
neither can hold up the other.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from minipod.cli.terminal import raw_terminal, window_size
from minipod.client.streaming import RemoteStreams, StreamExit

CHUNK = 1 << 16
PATIENCE = 1.0
"""Seconds the input thread gets to let go of a connection that has ended."""


def converse(streams: RemoteStreams, *, stdin: bool, tty: bool, end: bytes = b"") -> StreamExit:
    """Copy until the process ends. With `tty`, the terminal on standard input is raw meanwhile.

    `end` is sent when standard input ends: a process on a terminal does not notice that nobody writes any more.
    """
    with ExitStack() as stack:
        stack.callback(streams.close)
        if tty and os.isatty(0):
            stack.enter_context(raw_terminal(0))
        stack.enter_context(_input_to(streams, stdin=stdin, tty=tty, end=end))
        sys.stdout.flush()
        while (piece := streams.read()) is not None:
            stream, data = piece
            _write(1 if stream == "stdout" else 2, data)
        return streams.exit()


@contextmanager
def fed(streams: RemoteStreams) -> Iterator[None]:
    """Only input: while the block runs, standard input goes to the process; what it prints is somebody else's."""
    with ExitStack() as stack:
        stack.callback(streams.close)
        stack.enter_context(_input_to(streams, stdin=True, tty=False, end=b""))
        threading.Thread(target=_discard, args=(streams,), daemon=True).start()
        yield


@contextmanager
def _input_to(streams: RemoteStreams, *, stdin: bool, tty: bool, end: bytes) -> Iterator[None]:
    """Pass on input and terminal sizes while the block runs."""
    with ExitStack() as stack:
        resized, resize = os.pipe()
        ended, leave = os.pipe()
        thread = threading.Thread(target=_input, args=(streams, resized, ended, stdin, end), daemon=True)
        # Left in the opposite order: end the thread, and only then close what it waits for.
        for fd in (resized, resize, ended):
            stack.callback(os.close, fd)
        if tty:
            previous = signal.signal(signal.SIGWINCH, lambda *_: os.write(resize, b"."))
            stack.callback(signal.signal, signal.SIGWINCH, previous)
            os.write(resize, b".")
        thread.start()
        stack.callback(thread.join, PATIENCE)
        stack.callback(os.close, leave)
        yield


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _discard(streams: RemoteStreams) -> None:
    while streams.read() is not None:
        pass


def _input(streams: RemoteStreams, resized: int, ended: int, stdin: bool, end: bytes) -> None:
    poll = select.poll()
    poll.register(resized, select.POLLIN)
    poll.register(ended, select.POLLIN | select.POLLHUP)
    if stdin:
        poll.register(0, select.POLLIN | select.POLLHUP)
    try:
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if ended in ready:
                return
            if resized in ready:
                os.read(resized, CHUNK)
                if size := window_size(0) or window_size(1):
                    streams.resize(*size)
            if 0 in ready:
                data = os.read(0, CHUNK)
                if data:
                    streams.write_stdin(data)
                else:
                    poll.unregister(0)
                    if end:
                        streams.write_stdin(end)
                    streams.close_stdin()
    except OSError:
        # The connection is gone; the thread that reads from it reports how.
        return
