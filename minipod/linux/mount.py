"""Mounting: mount(2), umount2(2), pivot_root(2) and the mount API by descriptors (open_tree(2), move_mount(2), ...).

Prefer the descriptor calls: what they act on cannot be exchanged between look-up and mount, and mount_setattr(2)
changes only the attributes named, so a read-only remount keeps nosuid and the others. Linux 5.12 has all of them.
"""

from __future__ import annotations

import ctypes
import os

from minipod.linux.libc import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    encode,
    failed,
    function,
    number,
    system_call,
)

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_STRICTATIME = 1 << 24
MNT_DETACH = 2

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSMOUNT_CLOEXEC = 1

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_ATIME = 0x70
"""The atime bits are one choice, not flags: clear all of them to set another."""
MOUNT_ATTR_RELATIME = 0x0
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_NOSYMFOLLOW = 0x200000


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


_int, _uint, _str = ctypes.c_int, ctypes.c_uint, ctypes.c_char_p
_mount = function("mount", _str, _str, _str, ctypes.c_ulong, _str)
_umount2 = function("umount2", _str, _int)
_pivot_root = system_call(number(x86_64=155, aarch64=41), _str, _str)
_open_tree = system_call(428, _int, _str, _uint)
_move_mount = system_call(429, _int, _str, _int, _str, _uint)
_fsopen = system_call(430, _str, _uint)
_fsconfig = system_call(431, _int, _uint, _str, _str, _int)
_fsmount = system_call(432, _int, _uint, _uint)
_mount_setattr = system_call(442, _int, _str, _uint, ctypes.POINTER(_MountAttr), ctypes.c_size_t)


def mount(source: str | None, target: str, fstype: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    if _mount(_optional(source), encode(target), _optional(fstype), flags, _optional(data)) < 0:
        failed("mount", source or "none", target, fstype or "none", hex(flags), data or "")


def _optional(text: str | None) -> bytes | None:
    return encode(text) if text else None


def umount2(target: str, flags: int) -> None:
    """umount2(2)."""
    if _umount2(encode(target), flags) < 0:
        failed("umount2", target, flags)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    if _pivot_root(encode(new_root), encode(put_old)) < 0:
        failed("pivot_root", new_root, put_old)


def open_tree(path: str, *, dir_fd: int = AT_FDCWD, clone: bool = True, recursive: bool = False) -> int:
    """open_tree(2): a descriptor of a detached copy of the mount at `path` (empty: at `dir_fd` itself)."""
    flags = OPEN_TREE_CLOEXEC | AT_EMPTY_PATH
    if clone:
        flags |= OPEN_TREE_CLONE | (AT_RECURSIVE if recursive else 0)
    fd = _open_tree(dir_fd, encode(path), flags)
    if fd < 0:
        failed("open_tree", path or f"fd {dir_fd}")
    return fd


def move_mount(tree_fd: int, target_fd: int) -> None:
    """move_mount(2): attach what `tree_fd` holds on top of what `target_fd` refers to."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    if _move_mount(tree_fd, b"", target_fd, b"", flags) < 0:
        failed("move_mount", f"fd {tree_fd}", f"fd {target_fd}")


def mount_setattr(
    fd: int, *, attr_set: int = 0, attr_clr: int = 0, propagation: int = 0, recursive: bool = False
) -> None:
    """mount_setattr(2) on the mount that `fd` is the root of; `propagation` is one of MS_PRIVATE, MS_SLAVE, ..."""
    attr = _MountAttr(attr_set, attr_clr, propagation, 0)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    if _mount_setattr(fd, b"", flags, attr, ctypes.sizeof(attr)) < 0:
        failed("mount_setattr", f"fd {fd}", f"+{attr_set:#x}", f"-{attr_clr:#x}", hex(propagation))


def new_mount(fstype: str, options: str = "", *, source: str = "", attributes: int = 0) -> int:
    """A descriptor of a new detached mount of a filesystem: fsopen(2), fsconfig(2), fsmount(2).

    `options` as in mount -o ("mode=755,size=64k"); a value may be 255 bytes long at most. What the kernel has to say
    about a refused option is part of the error.
    """
    context = _fsopen(encode(fstype), FSOPEN_CLOEXEC)
    if context < 0:
        failed("fsopen", fstype)
    try:
        if source:
            _configure(context, fstype, "source", source)
        for option in filter(None, options.split(",")):
            key, has_value, value = option.partition("=")
            _configure(context, fstype, key, value if has_value else None)
        if _fsconfig(context, FSCONFIG_CMD_CREATE, None, None, 0) < 0:
            _refused(context, fstype, options)
        fd = _fsmount(context, FSMOUNT_CLOEXEC, attributes)
        if fd < 0:
            failed("fsmount", fstype, hex(attributes))
        return fd
    finally:
        os.close(context)


def _configure(context: int, fstype: str, key: str, value: str | None) -> None:
    if value is None:
        done = _fsconfig(context, FSCONFIG_SET_FLAG, encode(key), None, 0)
    else:
        done = _fsconfig(context, FSCONFIG_SET_STRING, encode(key), encode(value), 0)
    if done < 0:
        _refused(context, fstype, key if value is None else f"{key}={value}")


def _refused(context: int, fstype: str, operand: str) -> None:
    """Raise the last call's error together with the kernel's own messages, which the context holds."""
    code = ctypes.get_errno()
    said = []
    try:
        while True:
            said.append(os.read(context, 4096).decode(errors="replace").strip()[2:])
    except OSError:
        pass
    error = OSError(code, f"fsconfig({fstype}, {operand}): {os.strerror(code)}")
    for line in said:
        error.add_note(line)
    raise error
