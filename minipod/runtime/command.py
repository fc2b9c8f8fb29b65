"""Finding the command and becoming it, with an error that names what is really missing.

Runs inside the container, as its user: what that user cannot see or execute does not count.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Mapping, Sequence
from typing import NoReturn

from minipod.runtime import sync
from minipod.runtime.child import LaunchError, Stage, default_dispositions, unblock_signals

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HEAD = 4096
_PT_INTERP = 3


def environment(entries: Sequence[str]) -> dict[str, str]:
    """process.env as a mapping; of two with one name the later wins. Raises ValueError for one that has no name."""
    values = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not name or not equals:
            raise ValueError(f"env: {entry!r} is not NAME=value")
        values[name] = value
    return values


def execute(args: Sequence[str], env: Mapping[str, str], *, held_by: int = -1) -> NoReturn:
    """execve(2) `args`, looked up in the environment's PATH. Raises LaunchError when that fails.

    With `held_by`, a sync socket, the parent's word is waited for right before: what it costs from there is an execve.
    """
    if not args or not args[0]:
        raise LaunchError(Stage.EXEC, errno.ENOENT, "", "no command: args is empty")
    path = args[0] if "/" in args[0] else _look_up(args[0], env.get("PATH") or DEFAULT_PATH)
    argv = [_bytes(arg) for arg in args]
    environ = {_bytes(name): _bytes(value) for name, value in env.items()}
    default_dispositions()
    if held_by >= 0 and not sync.wait_until_told(held_by):
        raise LaunchError(Stage.EXEC, errno.ECANCELED, "", "the start was called off")
    unblock_signals()
    try:
        os.execve(_bytes(path), argv, environ)  # noqa: S606
    except OSError as error:
        raise _explain(path, error) from error
    except ValueError as error:
        raise LaunchError(Stage.EXEC, errno.EINVAL, path, f"exec {path}: {error}") from error


def _bytes(text: str) -> bytes:
    # Not os.fsencode: the container's bytes must not depend on the daemon's locale.
    return text.encode("utf-8", "surrogateescape")


def _look_up(name: str, search: str) -> str:
    """The first executable file of that name. Relative directories in PATH are not searched (as Go's LookPath)."""
    forbidden = ""
    for directory in search.split(":"):
        candidate = f"{directory}/{name}"
        if not directory.startswith("/"):
            continue
        try:
            if not stat.S_ISREG(os.stat(candidate).st_mode):
                continue
        except OSError:
            continue
        if os.access(candidate, os.X_OK, effective_ids=True):
            return candidate
        forbidden = forbidden or candidate
    if forbidden:
        raise LaunchError(Stage.EXEC, errno.EACCES, forbidden, f"exec {forbidden}: permission denied")
    raise LaunchError(Stage.EXEC, errno.ENOENT, name, f'exec: "{name}": executable file not found in $PATH')


def _explain(path: str, error: OSError) -> LaunchError:
    code = error.errno or 0
    text = os.strerror(code)
    message = f"exec {path}: {text[:1].lower()}{text[1:]}"
    if code in (errno.ENOENT, errno.EACCES) and (interpreter := _interpreter(path)):
        if not os.path.exists(interpreter):
            message += f": its interpreter {interpreter} is not there"
    elif code == errno.EACCES and os.path.isdir(path):
        message = f"exec {path}: is a directory"
    return LaunchError(Stage.EXEC, code, path, message)


def _interpreter(path: str) -> str:
    """What the file needs to be run by: a script's #! line or an ELF file's loader; empty when none or unreadable."""
    try:
        # Not blocking: the image may have put a pipe here.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            head = os.read(fd, _HEAD)
        finally:
            os.close(fd)
    except OSError:
        return ""
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].split()
        return os.fsdecode(words[0]) if words else ""
    return _elf_interpreter(head) if head.startswith(b"\x7fELF\x02\x01") else ""


def _elf_interpreter(head: bytes) -> str:
    """PT_INTERP of a little-endian 64-bit ELF file; see elf(5)."""
    try:
        (offset,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        for index in range(count):
            kind, _flags, start, _vaddr, _paddr, length = struct.unpack_from(
                "<IIQQQQ", head, offset + index * size
            )
            if kind == _PT_INTERP:
                return os.fsdecode(head[start : start + length].rstrip(b"\0"))
    except struct.error:
        pass
    return ""
