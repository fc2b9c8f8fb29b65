"""Kubernetes' and OCI's units as cgroup v2 values: the conversions are tables and formulas, so are the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.linux.cgroup2 import cgroup, cpu, hugetlb, memory, pids


@pytest.mark.parametrize(
    ("milli", "shares"), [(0, 2), (1, 2), (2, 2), (100, 102), (250, 256), (1000, 1024), (10**9, 262144)]
)
def test_cpu_requests_become_shares(milli: int, shares: int) -> None:
    assert cpu.shares_from_milli(milli) == shares


@pytest.mark.parametrize(
    ("shares", "weight"), [(0, 1), (2, 1), (102, 4), (1024, 39), (2048, 79), (262144, 10000), (10**9, 10000)]
)
def test_shares_become_weights(shares: int, weight: int) -> None:
    assert cpu.weight_from_shares(shares) == weight


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_cpu_never_weighs_less(a: int, b: int) -> None:
    low, high = (cpu.weight_from_shares(cpu.shares_from_milli(m)) for m in sorted((a, b)))
    assert 1 <= low <= high <= 10000


@pytest.mark.parametrize(
    ("milli", "quota"), [(0, 0), (1, 1000), (5, 1000), (10, 1000), (100, 10000), (2500, 250000)]
)
def test_cpu_limits_become_quotas(milli: int, quota: int) -> None:
    assert cpu.quota_from_milli(milli) == quota


def test_cpu_files_name_only_what_is_set() -> None:
    assert cpu.files() == {}
    assert cpu.files(shares=1024) == {"cpu.weight": "39"}
    assert cpu.files(quota_us=50000, period_us=100000) == {"cpu.max": "50000 100000"}
    assert cpu.files(quota_us=-1) == {"cpu.max": "max 100000"}


def test_memory_files_split_swap_from_memory() -> None:
    assert memory.files() == {}
    assert memory.files(limit=4096) == {"memory.max": "4096"}
    assert memory.files(limit=-1) == {"memory.max": "max"}
    assert memory.files(limit=4096, memory_and_swap=4096) == {"memory.max": "4096", "memory.swap.max": "0"}
    assert memory.files(limit=1, reservation=7, memory_and_swap=-1) == {
        "memory.max": "1",
        "memory.low": "7",
        "memory.swap.max": "max",
    }


@pytest.mark.parametrize(("limit", "both"), [(0, 5), (6, 5), (-1, 5)])
def test_a_swap_limit_below_memory_is_refused(limit: int, both: int) -> None:
    with pytest.raises(ValueError, match="does not contain"):
        memory.files(limit=limit, memory_and_swap=both)


def test_pids_files() -> None:
    assert pids.files(0) == {}
    assert pids.files(-1) == {"pids.max": "max"}
    assert pids.files(64) == {"pids.max": "64"}


def test_hugetlb_files_limit_usage_and_reservation() -> None:
    assert hugetlb.files({"2MB": 4194304}) == {
        "hugetlb.2MB.max": "4194304",
        "hugetlb.2MB.rsvd.max": "4194304",
    }
    assert hugetlb.page_kilobytes("1GB") == 1048576


@pytest.mark.parametrize("size", ["2Mi", "MB", "0MB", "../x", "2MB/../y"])
def test_what_is_not_a_page_size_names_no_file(size: str) -> None:
    with pytest.raises(ValueError, match="huge page size"):
        hugetlb.files({size: 1})


MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
40 31 0:38 /sub /elsewhere rw,relatime - cgroup2 cgroup2 rw
41 31 0:38 / {path} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""


@pytest.mark.parametrize(
    ("shown", "path"),
    [
        ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified"),
        ("/sys/fs/cgroup", "/sys/fs/cgroup"),
        ("/odd\\040name\\134x", "/odd name\\x"),
    ],
)
def test_the_cgroup2_mount_is_found_on_hybrid_and_unified_hosts(
    tmp_path: Path, shown: str, path: str
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTINFO.format(path=shown))
    assert cgroup.mount_point(tmp_path / "mountinfo") == Path(path)


def test_no_cgroup2_mount_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTINFO.splitlines()[0])
    with pytest.raises(FileNotFoundError, match="mount -t cgroup2"):
        cgroup.mount_point(tmp_path / "mountinfo")


@pytest.mark.parametrize("name", ["", "/abs", "a//b", "../x", "a/../../b", "."])
def test_a_name_that_leaves_the_root_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a cgroup name"):
        cgroup.create(tmp_path, name)


def test_flat_keyed_files_are_read_and_odd_lines_left_out() -> None:
    assert cgroup.flat_keyed("populated 1\nfrozen 0\nodd\n") == {"populated": 1, "frozen": 0}


def test_a_missing_controller_is_named(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n")
    (tmp_path / "cgroup.subtree_control").write_text("\n")
    with pytest.raises(OSError, match=r"not available here: cpu, memory.*cgroup\.controllers"):
        cgroup.enable_controllers(tmp_path, ["memory", "cpu", "hugetlb"])
