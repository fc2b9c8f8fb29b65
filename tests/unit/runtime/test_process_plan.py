"""The OCI process object, devices, sysctls and resources as values; and what a failed start is called."""

from __future__ import annotations

import errno
import os
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from minipod.linux import capabilities
from minipod.linux.bpf import ANY_ACCESS, ANY_NUMBER, ANY_TYPE, CHARACTER, READ, DeviceRule
from minipod.linux.namespaces import CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUTS
from minipod.runtime import become, command, credentials, device_rules, devices, resources, sysctl
from minipod.runtime.child import LaunchError, Stage, exit_code, reason, step
from minipod.runtime.types import StartFailure


def refused(process: dict[str, Any]) -> StartFailure:
    with pytest.raises(LaunchError) as caught:
        become.plan(process)
    return caught.value.failure


def test_defaults_of_an_empty_process() -> None:
    plan = become.plan({})
    assert (plan.args, plan.env, plan.cwd, plan.terminal) == ((), {}, "/", False)
    assert plan.credentials.user == credentials.User(0, 0, (), 0o022)
    assert plan.credentials.sets == credentials.CapabilitySets()


def test_a_full_process_is_read_whole() -> None:
    plan = become.plan(
        {
            "args": ["a", "b"],
            "env": ["A=1", "B=x=y", "A=2"],
            "cwd": "/w",
            "terminal": True,
            "consoleSize": {"width": 80, "height": 24},
            "user": {"uid": 1, "gid": 2, "additionalGids": [3], "umask": 0},
            "noNewPrivileges": True,
            "oomScoreAdj": 5,
        }
    )
    assert plan.args == ("a", "b")
    assert plan.env == {"A": "2", "B": "x=y"}
    assert plan.console_size == (80, 24)
    assert plan.credentials.user == credentials.User(1, 2, (3,), 0)
    assert plan.credentials.no_new_privs
    assert plan.credentials.oom_score_adj == 5


@pytest.mark.parametrize(
    ("process", "stage", "words"),
    [
        ({"env": ["NOEQUALS"]}, "config", "'NOEQUALS' is not NAME=value"),
        ({"env": ["=x"]}, "config", "'=x' is not NAME=value"),
        ({"cwd": "rel"}, "cwd", 'working directory "rel": not an absolute path'),
        ({"user": {"uid": -1}}, "user", "user -1:0"),
        ({"user": {"gid": 2**32 - 1}}, "user", "from 0 to 4294967294"),
        ({"rlimits": [{"type": "X", "soft": 1, "hard": 1}]}, "limits", "unknown resource limit: X"),
        ({"capabilities": {"ambient": ["CAP_X"]}}, "capabilities", "unknown capability: CAP_X"),
        ({"apparmorProfile": "p"}, "config", "process.apparmorProfile: not supported"),
    ],
)
def test_what_is_wrong_is_named(process: dict[str, Any], stage: str, words: str) -> None:
    failure = refused(process)
    assert failure.stage == stage
    assert words in failure.message


def test_capabilities_the_host_withholds_are_cut_and_kept_for_the_warning() -> None:
    available = capabilities.to_bits(["CAP_KILL"])
    sets, asked = credentials.capability_sets({"bounding": ["CAP_KILL", "CAP_CHOWN"]}, available)
    assert sets.bounding == available
    assert capabilities.to_names(asked & ~available) == ["CAP_CHOWN"]


# -- the command -------------------------------------------------------------------------------------------------


def test_the_loader_of_an_elf_file_is_read_from_its_head() -> None:
    name = b"/lib/ld-test.so.1\0"
    header = b"\x7fELF\x02\x01" + bytes(26) + struct.pack("<Q", 64) + bytes(14) + struct.pack("<HH", 56, 2)
    note = struct.pack("<IIQQQQQQ", 4, 0, 0, 0, 0, 0, 0, 0)
    interp = struct.pack("<IIQQQQQQ", 3, 0, 200, 0, 0, len(name), 0, 0)
    head = (header.ljust(64, b"\0") + note + interp).ljust(200, b"\0") + name
    assert command._elf_interpreter(head) == "/lib/ld-test.so.1"
    assert command._elf_interpreter(head[:70]) == ""


def test_a_pipe_in_the_place_of_a_command_does_not_block_the_explanation(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert command._interpreter(str(tmp_path / "fifo")) == ""


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [
        (Stage.EXEC, errno.ENOENT, 127),
        (Stage.EXEC, errno.EACCES, 126),
        (Stage.EXEC, errno.ENOEXEC, 126),
        (Stage.EXEC, errno.E2BIG, 128),
        (Stage.MOUNT, errno.ENOENT, 128),
    ],
)
def test_failures_have_the_codes_that_shells_give(stage: Stage, number: int, code: int) -> None:
    assert exit_code(StartFailure(stage=stage, errno=number, operand="", message="")) == code


def test_a_step_words_a_failure_for_its_reader() -> None:
    with pytest.raises(LaunchError) as caught, step(Stage.MOUNT, "/y", "mount /x to /y"):
        os.open("/does/not/exist", os.O_RDONLY)
    assert caught.value.failure == StartFailure(
        stage="mount", errno=errno.ENOENT, operand="/y", message="mount /x to /y: no such file or directory"
    )


def test_the_innermost_step_wins() -> None:
    with (
        pytest.raises(LaunchError) as caught,
        step(Stage.ROOTFS, "outer", "outer"),
        step(Stage.MOUNT, "in", "in"),
    ):
        raise ValueError("bad")
    assert caught.value.failure.message == "in: bad"


def test_notes_of_an_error_are_part_of_the_reason() -> None:
    error = OSError(errno.EINVAL, "fsconfig(x)")
    error.add_note("tmpfs: Bad value for 'size'")
    assert reason(error) == "invalid argument (tmpfs: Bad value for 'size')"


# -- devices -----------------------------------------------------------------------------------------------------


def test_the_documents_devices_win_over_the_default_ones() -> None:
    planned = {d.path: d for d in devices.plan([{"path": "/dev/null", "type": "c", "major": 9, "minor": 8}])}
    assert planned["/dev/null"] == devices.Device("/dev/null", stat.S_IFCHR | 0o666, os.makedev(9, 8))
    assert set(planned) == {d.path for d in devices.DEFAULTS}


@pytest.mark.parametrize(
    ("entry", "words"),
    [({"path": "/d", "type": "z"}, "'z' of /d"), ({"path": "d", "type": "c"}, "'d' is not")],
)
def test_devices_that_cannot_be_are_named(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        devices.plan([entry])


def test_device_rules_start_from_the_document_and_end_with_the_defaults() -> None:
    deny = {"allow": False, "access": "rwm"}
    one = {"allow": True, "type": "c", "major": 10, "access": "r"}
    planned = device_rules.plan([deny, one])
    assert planned[0] == DeviceRule(False, ANY_TYPE, ANY_NUMBER, ANY_NUMBER, ANY_ACCESS)
    assert planned[1] == DeviceRule(True, CHARACTER, 10, ANY_NUMBER, READ)
    assert planned[2:] == device_rules.DEFAULTS


def test_a_privileged_container_needs_no_rules_and_an_empty_document_denies() -> None:
    assert device_rules.plan([{"allow": False, "access": "rwm"}, {"allow": True, "access": "rwm"}]) == ()
    assert device_rules.plan([]) == device_rules.DEFAULTS


@pytest.mark.parametrize("entry", [{"allow": True, "type": "x"}, {"allow": True, "access": "q"}])
def test_unknown_words_in_device_rules_are_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not known"):
        device_rules.plan([entry])


# -- sysctls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("net.core.somaxconn", CLONE_NEWNET),
        ("kernel.shmmax", CLONE_NEWIPC),
        ("fs.mqueue.msg_max", CLONE_NEWIPC),
        ("kernel.domainname", CLONE_NEWUTS),
        ("kernel.panic", 0),
        ("vm.swappiness", 0),
        ("kernel.shmmax.x", 0),
        ("network.x", 0),
    ],
)
def test_a_sysctl_belongs_to_one_namespace_or_to_the_host(name: str, flag: int) -> None:
    assert sysctl.namespace(name) == flag


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0.7/forwarding", "/proc/sys/net/ipv4/conf/eth0.7/forwarding"),
        ("net.ipv4.conf.eth0/7.forwarding", "/proc/sys/net/ipv4/conf/eth0.7/forwarding"),
    ],
)
def test_sysctl_names_are_written_either_way(given: str, file: str) -> None:
    assert sysctl.path(sysctl.normalise(given)) == file


@pytest.mark.parametrize(
    "name", ["net", "net..x", "net./.x", "net.//", "net/../../vm/panic", "net.ipv4/../x"]
)
def test_no_sysctl_name_leaves_proc_sys(name: str) -> None:
    normal = sysctl.normalise(name)
    try:
        file = sysctl.path(normal)
    except ValueError:
        return
    assert os.path.normpath(file) == file
    assert file.startswith("/proc/sys/net")


# -- resources ---------------------------------------------------------------------------------------------------


def test_resources_become_files_and_unified_wins() -> None:
    files = resources.cgroup_files(
        {
            "cpu": {"shares": 1024, "quota": 20000, "period": 100000, "cpus": "0-1"},
            "memory": {"limit": 1 << 20, "swap": 1 << 20},
            "pids": {"limit": 10},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
            "unified": {"memory.high": "9", "pids.max": "11"},
            "devices": [{"allow": False}],
        }
    )
    assert files == {
        "cpu.weight": "39",
        "cpu.max": "20000 100000",
        "cpuset.cpus": "0-1",
        "memory.max": "1048576",
        "memory.swap.max": "0",
        "pids.max": "11",
        "hugetlb.2MB.max": "0",
        "hugetlb.2MB.rsvd.max": "0",
        "memory.high": "9",
    }
    assert resources.controllers([*files, "cgroup.freeze"]) == {"cpu", "cpuset", "memory", "pids", "hugetlb"}
    assert resources.cgroup_files({"cpu": None, "memory": {}}) == {}
