"""bpf(2), for one purpose: device access of a cgroup, which cgroup v2 has no files for.

A program decides each open and mknod of a device node in the group and below; all programs on the way up must agree.
See https://docs.kernel.org/admin-guide/cgroup-v2.html#device-controller and bpf(2); opcodes are the kernel's
instruction set document's.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from minipod.linux.libc import failed, number, system_call

BLOCK = 1
CHARACTER = 2
ANY_TYPE = 0
MKNOD = 1
READ = 2
WRITE = 4
ANY_NUMBER = -1
ANY_ACCESS = MKNOD | READ | WRITE

_PROG_LOAD = 5
_PROG_ATTACH = 8
_PROG_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2

_LOAD_WORD, _MOVE, _MOVE_IMMEDIATE = 0x61, 0xBC, 0xB7
_AND_IMMEDIATE, _SHIFT_RIGHT = 0x54, 0x74
_IF_EQUAL, _IF_NOT_EQUAL, _EXIT = 0x15, 0x55, 0x95
_RESULT, _CONTEXT, _TYPE, _ACCESS, _MAJOR, _MINOR, _SCRATCH = 0, 1, 2, 3, 4, 5, 6

_bpf = system_call(number(x86_64=321, aarch64=280), ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)


class _ProgLoad(ctypes.Structure):
    _fields_ = (
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_name", ctypes.c_char * 16),
    )


class _ProgAttach(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint32) for name in ("target_fd", "attach_bpf_fd", "attach_type", "attach_flags")
    )


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """`access` is a mask of MKNOD, READ, WRITE; `major` and `minor` may be ANY_NUMBER."""

    allow: bool
    type: int
    major: int
    minor: int
    access: int


_DENY_ALL = DeviceRule(False, ANY_TYPE, ANY_NUMBER, ANY_NUMBER, ANY_ACCESS)


def load_device_program(rules: Sequence[DeviceRule]) -> int:
    """Load a program that does what the last matching rule says, and denies what none matches; its descriptor."""
    code = device_program(rules)
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = _ProgLoad(
        prog_type=_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt=len(code) // 8,
        insns=ctypes.addressof(instructions),
        license=ctypes.addressof(licence),
        prog_name=b"minipod_devices",
    )
    fd = _bpf(_PROG_LOAD, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if fd < 0:
        failed("bpf", "BPF_PROG_LOAD", "cgroup_device")
    return fd


def attach_device_program(cgroup_fd: int, program_fd: int) -> None:
    """Let the program decide for the cgroup, besides those of other groups above; it goes with the group."""
    attributes = _ProgAttach(cgroup_fd, program_fd, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI)
    if _bpf(_PROG_ATTACH, ctypes.byref(attributes), ctypes.sizeof(attributes)) < 0:
        failed("bpf", "BPF_PROG_ATTACH", f"cgroup fd {cgroup_fd}")


def device_program(rules: Sequence[DeviceRule]) -> bytes:
    """The instructions, 8 bytes each; bpf_cgroup_dev_ctx is (access << 16 | type, major, minor)."""
    code = [
        _instruction(_LOAD_WORD, _TYPE, _CONTEXT),
        _instruction(_MOVE, _ACCESS, _TYPE),
        _instruction(_AND_IMMEDIATE, _TYPE, value=0xFFFF),
        _instruction(_SHIFT_RIGHT, _ACCESS, value=16),
        _instruction(_LOAD_WORD, _MAJOR, _CONTEXT, offset=4),
        _instruction(_LOAD_WORD, _MINOR, _CONTEXT, offset=8),
    ]
    for rule in (*reversed(rules), _DENY_ALL):
        code += _rule(rule)
        # The verifier refuses code that cannot be reached.
        if rule == DeviceRule(rule.allow, ANY_TYPE, ANY_NUMBER, ANY_NUMBER, ANY_ACCESS):
            break
    return b"".join(code)


def _rule(rule: DeviceRule) -> list[bytes]:
    """Return what the rule says if it matches, else fall through to what follows."""
    tests: list[tuple[int, int, int]] = []
    if rule.type != ANY_TYPE:
        tests.append((_IF_NOT_EQUAL, _TYPE, rule.type))
    if rule.major != ANY_NUMBER:
        tests.append((_IF_NOT_EQUAL, _MAJOR, rule.major))
    if rule.minor != ANY_NUMBER:
        tests.append((_IF_NOT_EQUAL, _MINOR, rule.minor))
    scratch: list[bytes] = []
    if rule.access != ANY_ACCESS:
        # Allowing needs every kind of access asked for to be in the rule; denying needs only one.
        mask = ~rule.access & 7 if rule.allow else rule.access
        scratch = [
            _instruction(_MOVE, _SCRATCH, _ACCESS),
            _instruction(_AND_IMMEDIATE, _SCRATCH, value=mask),
        ]
        tests.append((_IF_NOT_EQUAL if rule.allow else _IF_EQUAL, _SCRATCH, 0))
    verdict = _return(allow=rule.allow)
    total = len(scratch) + len(tests) + len(verdict)
    code = list(scratch)
    for opcode, register, value in tests:
        code.append(_instruction(opcode, register, offset=total - len(code) - 1, value=value))
    return code + verdict


def _return(*, allow: bool) -> list[bytes]:
    return [_instruction(_MOVE_IMMEDIATE, _RESULT, value=int(allow)), _instruction(_EXIT)]


def _instruction(opcode: int, target: int = 0, source: int = 0, *, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", opcode, source << 4 | target, offset, value)
