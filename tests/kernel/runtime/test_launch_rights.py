"""What the process may do: user, capabilities, limits; and what it must not get from the shim."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.linux import capabilities
from tests.kernel.runtime.launching import Shim, document, shim


@pytest.fixture
def pod(word: str, workdir: Path) -> Iterator[Shim]:
    with shim(word, workdir) as found:
        yield found


def status(pod: Shim, **process: object) -> dict[str, str]:
    done = pod.run(document("/bin/cat", "/proc/self/status", **process))
    return {
        key: value.strip() for key, _, value in (line.partition(":") for line in done["stdout"].splitlines())
    }


def test_user_group_and_further_groups_are_the_documents(pod: Shim) -> None:
    seen = status(pod, user={"uid": 1000, "gid": 2000, "additionalGids": [5, 6000], "umask": 0o077})
    assert seen["Uid"].split() == ["1000"] * 4
    assert seen["Gid"].split() == ["2000"] * 4
    assert seen["Groups"].split() == ["5", "6000"]
    assert seen["Umask"] == "0077"


def test_root_without_further_groups_has_none_of_the_daemons(pod: Shim) -> None:
    seen = status(pod)
    assert seen["Groups"] == ""
    assert seen["Umask"] == "0022"


def test_each_capability_set_is_what_the_document_says(pod: Shim) -> None:
    wanted = {
        "bounding": ["CAP_CHOWN", "CAP_NET_RAW", "CAP_KILL"],
        "permitted": ["CAP_NET_RAW", "CAP_KILL"],
        "effective": ["CAP_KILL"],
        "inheritable": ["CAP_NET_RAW"],
        "ambient": ["CAP_NET_RAW"],
    }
    seen = status(pod, capabilities=wanted, user={"uid": 1000, "gid": 1000})
    net_raw = f"{capabilities.to_bits(['CAP_NET_RAW']):016x}"
    assert seen["CapBnd"] == f"{capabilities.to_bits(wanted['bounding']):016x}"
    assert seen["CapInh"] == seen["CapAmb"] == net_raw
    assert seen["CapPrm"] == seen["CapEff"] == net_raw, "after execve a plain user keeps the ambient set"


def test_root_gets_the_bounding_set_on_execve(pod: Shim) -> None:
    seen = status(pod)
    assert seen["CapBnd"] == seen["CapPrm"] == seen["CapEff"] != "0" * 16
    assert seen["CapInh"] == seen["CapAmb"] == "0" * 16


def test_no_capabilities_in_the_document_are_none_at_all(pod: Shim) -> None:
    seen = status(pod, capabilities=None)
    assert {seen[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}


def test_a_capability_the_host_withholds_is_left_out_with_a_warning(pod: Shim) -> None:
    missing = capabilities.to_names(capabilities.ALL & ~capabilities.permitted())
    if not missing:
        pytest.skip("this host withholds no capability from root")
    wanted = dict.fromkeys(("bounding", "permitted", "effective"), capabilities.NAMES)
    done = pod.run(document("/bin/grep", "CapEff", "/proc/self/status", capabilities=wanted))
    assert done["warnings"] == [f"capabilities not available on this host: {', '.join(missing)}"]
    assert int(done["stdout"].split()[1], 16) == capabilities.permitted()


def test_an_unknown_capability_is_named(pod: Shim) -> None:
    failure = pod.fail(document("/bin/true", capabilities={"bounding": ["CAP_MAGIC"]}))
    assert failure["message"] == "process.capabilities: unknown capability: CAP_MAGIC"


@pytest.mark.parametrize("no_new_privs", [True, False])
def test_no_new_privileges_takes_the_effect_from_privileged_programs(
    pod: Shim, *, no_new_privs: bool
) -> None:
    net_raw = capabilities.to_bits(["CAP_NET_RAW"])
    program = pod.root / "cat"
    program.write_bytes((pod.root / "bin" / "busybox").read_bytes())
    program.chmod(0o755)
    # struct vfs_cap_data, revision 2: permitted and effective.
    os.setxattr(program, "security.capability", struct.pack("<5I", 0x02000001, net_raw, 0, 0, 0))
    user = {"uid": 1000, "gid": 1000}
    done = pod.run(
        document("/bin/sh", "-c", "/cat /proc/self/status; true", user=user, noNewPrivileges=no_new_privs)
    )
    expected = 0 if no_new_privs else net_raw
    assert f"CapEff:\t{expected:016x}\n" in done["stdout"]
    assert f"NoNewPrivs:\t{int(no_new_privs)}\n" in done["stdout"]


def test_limits_are_the_documents(pod: Shim) -> None:
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]
    done = pod.run(document("/bin/sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c", rlimits=limits))
    assert done["stdout"].split() == ["100", "200", "0"]
    assert done["warnings"] == []


def test_a_limit_too_small_for_the_launch_itself_does_not_hinder_it(pod: Shim) -> None:
    limits = [{"type": "RLIMIT_NOFILE", "soft": 4, "hard": 4}]
    assert pod.run(document("sh", "-c", "ulimit -n", rlimits=limits, cwd="/tmp"))["stdout"] == "4\n"


def test_a_limit_that_cannot_be_raised_is_set_as_high_as_it_goes(pod: Shim) -> None:
    if capabilities.permitted() & capabilities.to_bits(["CAP_SYS_RESOURCE"]):
        pytest.skip("this host lets root raise limits")
    ceiling = os.sysconf("SC_OPEN_MAX")
    limits = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 1 << 40}]
    done = pod.run(document("/bin/sh", "-c", "ulimit -Sn; ulimit -Hn", rlimits=limits))
    soft, hard = map(int, done["stdout"].split())
    assert soft == 64
    assert hard >= ceiling
    assert done["warnings"][0].startswith("RLIMIT_NOFILE is 64:")


def test_an_unknown_limit_is_named(pod: Shim) -> None:
    limits = [{"type": "RLIMIT_MAGIC", "soft": 1, "hard": 1}]
    assert "RLIMIT_MAGIC" in pod.fail(document("/bin/true", rlimits=limits))["message"]


def test_the_oom_score_can_be_raised_and_a_refused_lowering_is_a_warning(pod: Shim) -> None:
    done = pod.run(document("/bin/cat", "/proc/self/oom_score_adj", oomScoreAdj=500))
    assert (done["stdout"], done["warnings"]) == ("500\n", [])
    done = pod.run(document("/bin/cat", "/proc/self/oom_score_adj", oomScoreAdj=-998))
    if done["stdout"] != "-998\n":
        assert done["warnings"][0].startswith("oom_score_adj could not be set to -998: ")


def test_it_gets_three_descriptors_and_no_more(pod: Shim) -> None:
    done = pod.run(document("/bin/ls", "/proc/self/fd"))
    assert done["stdout"].split() == ["0", "1", "2", "3"], "3 is ls reading the directory"


def test_its_signals_are_all_default_and_none_is_blocked(pod: Shim) -> None:
    seen = status(pod)
    assert {seen[name] for name in ("SigBlk", "SigIgn", "SigCgt")} == {"0" * 16}


def test_it_leads_a_session_of_its_own(pod: Shim) -> None:
    assert pod.sh("cut -d' ' -f1,5,6 /proc/self/stat; echo $$").split()[1:] == ["1", "1", "1"]


def test_it_has_a_session_keyring_of_its_own(pod: Shim) -> None:
    oci = document("/bin/cat", "/proc/keys")
    oci["linux"]["maskedPaths"] = []
    assert "_ses" in pod.run(oci)["stdout"] or pod.run(oci)["stdout"] == ""


def test_it_can_be_dumped_and_traced_by_its_own_user_like_any_program(pod: Shim) -> None:
    """Not dumpable is for the launching child only: a program's files in /proc belong to its user again."""
    done = pod.run(document("/bin/stat", "-c", "%u", "/proc/self/fd", user={"uid": 1000, "gid": 1000}))
    assert done["stdout"] == "1000\n"
