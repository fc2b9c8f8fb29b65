"""doctor on the real kernel: what it finds out, and that it leaves no trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from minipod.cli.health.facts import gather
from minipod.cli.health.trials import run_trials
from minipod.linux.cgroup2 import cgroup


def snapshot() -> tuple[str, list[str], str, set[str]]:
    """Everything on this host that a trial could change."""
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return (
        Path("/proc/self/mountinfo").read_text(),
        sorted(name for name in os.listdir("/sys/class/net") if name.startswith("doctor")),
        tables if "doctor" in tables else "",
        set(children),
    )


def test_trials_work_here_and_leave_nothing() -> None:
    before = snapshot()
    tried = run_trials()
    assert snapshot() == before
    assert {name: problem for name, problem in tried.items() if problem} == {}
    assert len(tried) == 12


def test_the_facts_are_those_of_this_host(tmp_path: Path) -> None:
    facts = gather(tmp_path / "not" / "there" / "yet")
    assert facts.kernel == os.uname().release
    assert facts.uid == os.geteuid()
    assert Path(facts.cgroup_mount, "cgroup.procs").exists()
    assert "CAP_SYS_ADMIN" in facts.capabilities
    assert facts.programs["nft"].endswith("/nft")
    assert facts.data_file_system
    assert facts.data_free > 0
    assert not (tmp_path / "not").exists()


def test_nothing_is_mounted_on_a_host_whose_mounts_are_shared() -> None:
    """As systemd makes them: without care, a mount in the child would appear on the host."""
    script = (
        "from pathlib import Path; from minipod.cli.health.trials import run_trials;"
        "look = Path('/proc/self/mountinfo').read_text; before = look(); tried = run_trials();"
        "print(tried['overlayfs'] == '', look() == before)"
    )
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "shared", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True True\n"


def test_it_says_of_this_host_why_a_controller_is_missing_and_what_mends_it() -> None:
    v1 = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - cgroup cgroup ")
        if right:
            v1[right.rsplit(",", 1)[-1]] = left.split()[4]
    done = subprocess.run(
        [sys.executable, "-m", "minipod", "doctor", "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    told = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    available = Path(cgroup.mount_point(), "cgroup.controllers").read_text().split()
    for name in ("cpu", "memory", "pids", "hugetlb"):
        if name in available:
            assert told[name]["status"] == "ok"
            assert told[name]["fix"] == ""
        else:
            assert told[name]["detail"] == f"mounted as cgroup v1 at {v1[name]}"
            assert "add systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all to" in told[name]["fix"]
