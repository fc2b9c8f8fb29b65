"""keyctl(2): keep a container away from the session keyring of whoever started the daemon."""

from __future__ import annotations

import ctypes

from minipod.linux.libc import number, system_call

_KEYCTL_JOIN_SESSION_KEYRING = 1

_keyctl = system_call(number(x86_64=250, aarch64=219), ctypes.c_int, ctypes.c_char_p)


def join_new_session_keyring() -> bool:
    """Give the caller an empty session keyring of its own; False where the kernel has no keys or no quota is left."""
    return _keyctl(_KEYCTL_JOIN_SESSION_KEYRING, None) >= 0
