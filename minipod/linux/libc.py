"""The C library by ctypes, and the one way its failures become OSError.

Wrappers in this package have the man page's name and argument order. They raise OSError(errno, "call(operands): why"),
so that a traceback or an event names what was asked of the kernel. Cheap to import: forked children live on it.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any, NoReturn

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

MACHINE = os.uname().machine

_libc = ctypes.CDLL(None, use_errno=True)


def function(name: str, *argtypes: Any) -> Any:
    """A C function that returns int (-1 for failure) and leaves errno."""
    found = _libc[name]
    found.argtypes = argtypes
    found.restype = ctypes.c_int
    return found


def system_call(number: int, *argtypes: Any, hold_gil: bool = False) -> Callable[..., int]:
    """syscall(2) bound to a number and its argument types, for calls the C library has no function for.

    `hold_gil` keeps the interpreter lock during the call: needed where the call returns in two processes.
    """
    library = ctypes.PyDLL(None, use_errno=True) if hold_gil else _libc
    call = library["syscall"]
    call.argtypes = (ctypes.c_long, *argtypes)
    call.restype = ctypes.c_long
    return functools.partial(call, number)


def number(*, x86_64: int, aarch64: int) -> int:
    """The system call number of this machine, for the old calls whose numbers differ between architectures."""
    return aarch64 if MACHINE == "aarch64" else x86_64


def failed(call: str, *operands: object) -> NoReturn:
    """Raise the OSError of the call that just failed in this thread."""
    code = ctypes.get_errno()
    shown = ", ".join(os.fsdecode(o) if isinstance(o, bytes) else str(o) for o in operands)
    raise OSError(code, f"{call}({shown}): {os.strerror(code)}")


def encode(path: str | os.PathLike[str]) -> bytes:
    """A path as the kernel takes it; ValueError when it holds a NUL byte, which would cut it short."""
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise ValueError(f"embedded null byte in {raw!r}")
    return raw
