"""The device program, run by a small interpreter of the few instructions it uses, against the rules' plain meaning."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from minipod.linux import bpf
from minipod.linux.bpf import (
    ANY_ACCESS,
    ANY_NUMBER,
    ANY_TYPE,
    BLOCK,
    CHARACTER,
    MKNOD,
    READ,
    WRITE,
    DeviceRule,
)

types = st.sampled_from([ANY_TYPE, BLOCK, CHARACTER])
numbers = st.sampled_from([ANY_NUMBER, 0, 1, 5, 136])
rules = st.lists(
    st.builds(DeviceRule, st.booleans(), types, numbers, numbers, st.integers(1, ANY_ACCESS)), max_size=8
)


def run(program: bytes, kind: int, access: int, major: int, minor: int) -> bool:
    """Execute it on a bpf_cgroup_dev_ctx; every path must end in exit."""
    context = struct.pack("<III", access << 16 | kind, major, minor)
    registers = [0] * 11
    code = list(struct.iter_unpack("<BBhi", program))
    at = 0
    while True:
        opcode, both, offset, value = code[at]
        target, source = both & 15, both >> 4
        at += 1
        match opcode:
            case 0x61:
                registers[target] = struct.unpack_from("<I", context, offset)[0]
            case 0xBC:
                registers[target] = registers[source]
            case 0xB7:
                registers[target] = value
            case 0x54:
                registers[target] &= value
            case 0x74:
                registers[target] >>= value
            case 0x15:
                at += offset if registers[target] == value else 0
            case 0x55:
                at += offset if registers[target] != value else 0
            case 0x95:
                return registers[0] == 1
            case _:
                raise AssertionError(f"unexpected opcode {opcode:#x}")


def meaning(rule_list: list[DeviceRule], kind: int, access: int, major: int, minor: int) -> bool:
    """The last rule that matches decides: allowing needs all of the access in the rule, denying any of it."""
    for rule in reversed(rule_list):
        if rule.type not in (ANY_TYPE, kind) or rule.major not in (ANY_NUMBER, major):
            continue
        if rule.minor not in (ANY_NUMBER, minor):
            continue
        if (access & ~rule.access == 0) if rule.allow else (access & rule.access != 0):
            return rule.allow
    return False


@given(rules, st.sampled_from([BLOCK, CHARACTER]), st.integers(1, 7), st.integers(0, 6), st.integers(0, 6))
def test_the_program_means_what_the_rules_mean(
    rule_list: list[DeviceRule], kind: int, access: int, major: int, minor: int
) -> None:
    program = bpf.device_program(rule_list)
    assert run(program, kind, access, major, minor) == meaning(rule_list, kind, access, major, minor)


def test_no_rules_deny_everything() -> None:
    assert not run(bpf.device_program([]), CHARACTER, READ, 1, 3)


def test_what_follows_a_rule_for_everything_is_left_out() -> None:
    """The kernel's verifier refuses a program with code that cannot be reached."""
    deny_all = DeviceRule(False, ANY_TYPE, ANY_NUMBER, ANY_NUMBER, MKNOD | READ | WRITE)
    allow_null = DeviceRule(True, CHARACTER, 1, 3, READ)
    assert bpf.device_program([allow_null, deny_all]) == bpf.device_program([deny_all])
