"""The user's own terminal: raw while a remote process owns it, and as it was afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def raw_terminal(fd: int) -> Iterator[None]:
    """Pass every key through, Ctrl-C too (termios(3), cfmakeraw), until the block is left."""
    import termios
    import tty

    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def window_size(fd: int) -> tuple[int, int] | None:
    """Columns and rows; None when this is no terminal."""
    try:
        size = os.get_terminal_size(fd)
    except OSError:
        return None
    return size.columns, size.lines


def stdin_is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
