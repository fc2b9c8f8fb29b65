"""The frame every child between clone and execve lives in: its descriptors, its signals, and its one way out.

A child is a copy of the shim in other namespaces. It owns nothing of the shim's, must not run the shim's handlers, and
leaves through execve or through `run`, which reports what stopped it.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import importlib
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from types import TracebackType
from typing import NoReturn

from minipod.linux.process import close_range
from minipod.runtime import sync
from minipod.runtime.host_devices import open_null
from minipod.runtime.types import StartFailure

_ALL_SIGNALS = frozenset(map(int, signal.valid_signals()))
_RESETTABLE = tuple(_ALL_SIGNALS - {int(signal.SIGKILL), int(signal.SIGSTOP)})
_BLOCK, _SET = int(signal.SIG_BLOCK), int(signal.SIG_SETMASK)
# The C functions below the enum conversions of the signal module, which a fresh child feels.
_signal = importlib.import_module("_signal")
_set_handler: Callable[[int, int], object] = _signal.signal
_set_mask: Callable[[int, Iterable[int]], set[int]] = _signal.pthread_sigmask
_DEFAULT = int(signal.SIG_DFL)
_ABOVE_ALL = 64
"""First number to park descriptors at while 0, 1, 2... are filled."""


class Stage(StrEnum):
    """Where on its way to execve a child was, in the order of the way."""

    CLONE = "clone"
    CONFIG = "config"
    NAMESPACES = "namespaces"
    HOSTNAME = "hostname"
    SYSCTL = "sysctl"
    SUBPATH = "subPath"
    ROOTFS = "rootfs"
    MOUNT = "mount"
    DEVICES = "devices"
    MASKS = "masks"
    CONSOLE = "console"
    LIMITS = "limits"
    USER = "user"
    CAPABILITIES = "capabilities"
    WORKING_DIRECTORY = "cwd"
    EXEC = "exec"
    INTERNAL = "internal"


class LaunchError(Exception):
    """A start that cannot go on. `failure.message` is what a user reads."""

    def __init__(self, stage: Stage, code: int, operand: str, message: str) -> None:
        super().__init__(message)
        self.failure = StartFailure(stage=stage, errno=code, operand=operand, message=message)


class step:  # noqa: N801 -- reads as a statement: with step(Stage.MOUNT, target, "mount a to b")
    """Turns an OSError or ValueError inside the block into LaunchError: "<what>: <the kernel's reason>"."""

    __slots__ = ("operand", "stage", "what")

    def __init__(self, stage: Stage, operand: str, what: str) -> None:
        self.stage = stage
        self.operand = operand
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise LaunchError(
                self.stage, error.errno or 0, self.operand, f"{self.what}: {reason(error)}"
            ) from error
        if isinstance(error, ValueError):
            raise LaunchError(self.stage, 0, self.operand, f"{self.what}: {error}") from error


def reason(error: OSError) -> str:
    """The kernel's text for an error, as the middle of a sentence, with its own details where there are any."""
    text = os.strerror(error.errno) if error.errno else str(error)
    notes: Sequence[str] = getattr(error, "__notes__", ())
    return text[:1].lower() + text[1:] + "".join(f" ({note})" for note in notes)


def block_signals() -> set[int]:
    """Keep handlers from running in the child; returns the mask to restore in the parent."""
    return _set_mask(_BLOCK, _ALL_SIGNALS)


def restore_signals(mask: set[int]) -> None:
    _set_mask(_SET, mask)


def default_dispositions() -> None:
    """Every signal back to its default: Python ignores SIGPIPE, and the shim handles others."""
    for number in _RESETTABLE:
        _set_handler(number, _DEFAULT)


def unblock_signals() -> None:
    """The empty mask that a program expects; only with default dispositions."""
    _set_mask(_SET, ())


def settle_descriptors(stdio: tuple[int, int, int] | None, keep: Sequence[int]) -> list[int]:
    """Make 0, 1, 2 the given stdio (/dev/null for None), 3, 4, ... copies of `keep`, and close all others.

    Returns the new numbers of `keep`, which are close-on-exec. The shim's sockets, logs and terminals must be gone
    before anything of the container is looked at: its paths may point at /proc/self/fd.
    """
    null = -1
    if stdio is None:
        null = open_null(os.O_RDWR)
        stdio = (null, null, null)
    parked = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_ALL) for fd in (*stdio, *keep)]
    for number, fd in enumerate(parked):
        os.dup2(fd, number, inheritable=number < 3)
    close_range(len(parked), ~0)
    return list(range(3, len(parked)))


def run(
    body: Callable[[int, list[int]], object],
    *,
    sync_fd: int,
    stdio: tuple[int, int, int] | None,
    keep: Sequence[int] = (),
) -> NoReturn:
    """Settle the descriptors, then run body(sync_fd, keep), which should end in execve; report what came instead."""
    code = 128
    try:
        # A collection would touch, and so copy, every page of the shim's heap.
        gc.disable()
        sync_fd, *kept = settle_descriptors(stdio, (sync_fd, *keep))
        body(sync_fd, kept)
    except BaseException as error:
        failure = error.failure if isinstance(error, LaunchError) else _unforeseen(error)
        code = exit_code(failure)
        sync.send_failure(sync_fd, failure)
    finally:
        os._exit(code)


def exit_code(failure: StartFailure) -> int:
    """The code that shells report for a command that did not start: 127 not found, 126 not executable, else 128."""
    if failure.stage != Stage.EXEC:
        return 128
    return _EXEC_CODES.get(failure.errno, 128)


_EXEC_CODES = {
    errno.ENOENT: 127,
    errno.EACCES: 126,
    errno.EPERM: 126,
    errno.EISDIR: 126,
    errno.ENOTDIR: 126,
    errno.ENOEXEC: 126,
}


def _unforeseen(error: BaseException) -> StartFailure:
    text = "".join(traceback.format_exception_only(error)).strip()
    where = traceback.extract_tb(error.__traceback__)[-1]
    return StartFailure(
        stage=Stage.INTERNAL,
        errno=0,
        operand=where.name,
        message=f"{text} (at {os.path.basename(where.filename)}:{where.lineno})",
    )
