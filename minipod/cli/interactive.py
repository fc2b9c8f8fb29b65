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
from contextlib import ExitStack

from minipod.cli.terminal import raw_terminal, window_size
from minipod.client.streaming import RemoteStreams, StreamExit

CHUNK = 1 << 16


def converse(streams: RemoteStreams, *, stdin: bool, tty: bool) -> StreamExit:
    """Copy until the process ends. With `tty`, the terminal on standard input is raw meanwhile."""
    with ExitStack() as stack:
        stack.callback(streams.close)
        resized, resize = os.pipe()
        stack.callback(os.close, resized)
        stack.callback(os.close, resize)
        if tty:
            if os.isatty(0):
                stack.enter_context(raw_terminal(0))
            previous = signal.signal(signal.SIGWINCH, lambda *_: os.write(resize, b"."))
            stack.callback(signal.signal, signal.SIGWINCH, previous)
            os.write(resize, b".")
        ended, end = os.pipe()
        thread = threading.Thread(target=_input, args=(streams, resized, ended, stdin), daemon=True)
        thread.start()
        # The thread's descriptors are closed only after it has let go of them.
        stack.callback(os.close, ended)
        stack.callback(thread.join, 1.0)
        stack.callback(os.close, end)
        sys.stdout.flush()
        while (piece := streams.read()) is not None:
            stream, data = piece
            _write(1 if stream == "stdout" else 2, data)
        return streams.exit()


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _input(streams: RemoteStreams, resized: int, ended: int, stdin: bool) -> None:
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
                    streams.close_stdin()
    except OSError:
        # The connection is gone; the thread that reads from it reports how.
        return
