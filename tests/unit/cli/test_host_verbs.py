"""doctor, purge, anatomy: judgements and drawings of given facts."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from minipod.cli.daemon_process import lock_holder
from minipod.cli.doctor import as_json, as_text, status_of
from minipod.cli.health.checks import Facts
from minipod.cli.health.controllers import Cgroups
from minipod.cli.health.facts import dropping_chains, file_system, has_default_route
from minipod.cli.health.judgements import NEEDED_CAPABILITIES
from minipod.cli.health.table import CHECKS, judge
from minipod.cli.pod_drawing import draw_pod, shared_namespaces, size
from minipod.cli.removal.survey import DATA_MARKS, known_uids, look, strangers
from minipod.config import Config
from minipod.linux.cgroup2.delegation import Level

TRIALS = (
    "pidfd", "clone3", "namespaces", "pid namespace", "user namespace", "seccomp", "mount API", "openat2", "overlayfs",
    "bridge", "veth", "nftables nat",
)  # fmt: skip

CONTROLLERS = frozenset(("cpu", "cpuset", "io", "memory", "pids", "hugetlb"))

GOOD = Facts(
    kernel="6.1.0-18-amd64",
    python=(3, 11, 2),
    uid=0,
    capabilities=NEEDED_CAPABILITIES | {"CAP_SYS_RESOURCE"},
    cgroup_mount="/sys/fs/cgroup",
    cgroup_parent="minipod.slice/minipod-pods.service/pods",
    cgroups=Cgroups(way=(Level("/sys/fs/cgroup", CONTROLLERS, CONTROLLERS, real_root=True),)),
    programs={"nft": "/usr/sbin/nft", "tar": "/bin/tar"},
    trials=dict.fromkeys(TRIALS, ""),
    data_dir="/var/lib/minipod",
    data_file_system="ext4",
    data_free=2 << 30,
    init="systemd",
    ip_forward="1",
    default_route=True,
    dropping_chains=(),
    pressure=True,
    sysctls={"user.max_user_namespaces": 30000},
    systemd_version=252,
    shutdown_delay=5.0,
)


def test_a_host_with_everything() -> None:
    findings = judge(GOOD)
    assert [status_of(f) for f in findings] == ["ok"] * len(CHECKS)
    assert as_text(findings, colour=False).endswith("with everything minipod can use.\n")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"kernel": "5.10.0"}, "Linux 5.14"),
        ({"uid": 1000}, "root"),
        ({"capabilities": NEEDED_CAPABILITIES - {"CAP_SYS_ADMIN"}}, "capabilities"),
        ({"cgroup_mount": ""}, "cgroup2"),
        ({"programs": {"nft": ""}}, "nft"),
        ({"trials": {**GOOD.trials, "overlayfs": "no such device"}}, "overlayfs"),
        ({"trials": {}}, "namespaces"),
        ({"data_file_system": "overlay"}, "data directory"),
    ],
)
def test_what_is_required_and_missing_is_told_with_its_fix(change: dict[str, Any], name: str) -> None:
    findings = judge(dataclasses.replace(GOOD, **change))
    [finding] = [f for f in findings if f.check.name == name]
    assert finding.fatal
    assert finding.check.fix in as_text(findings, colour=False)
    told = as_json(findings)
    assert told["ok"] is False
    checks: list[dict[str, Any]] = told["checks"]  # type: ignore[assignment]
    [check] = [check for check in checks if check["name"] == name]
    assert check["status"] == "missing"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (
            {"cgroups": Cgroups(way=(Level("/sys/fs/cgroup", frozenset(("hugetlb",)), frozenset()),))},
            "memory",
        ),
        ({"capabilities": NEEDED_CAPABILITIES}, "CAP_SYS_RESOURCE"),
        ({"dropping_chains": ("ip filter FORWARD",)}, "forwarding allowed"),
        ({"data_free": 1}, "disk space"),
        ({"default_route": False}, "default route"),
    ],
)
def test_what_is_optional_and_absent_is_not_fatal(change: dict[str, Any], name: str) -> None:
    findings = judge(dataclasses.replace(GOOD, **change))
    [finding] = [f for f in findings if f.check.name == name]
    assert status_of(finding) == "absent"
    assert as_json(findings)["ok"] is True


def test_the_file_system_of_a_path_is_that_of_the_nearest_mount() -> None:
    mountinfo = (
        "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "21 20 0:5 / /var rw shared:1 - tmpfs tmpfs rw\n"
        "22 21 0:6 / /var/lib\\040x rw - xfs /dev/b rw\n"
    )
    assert file_system(Path("/home/x"), mountinfo) == "ext4"
    assert file_system(Path("/var/lib"), mountinfo) == "tmpfs"
    assert file_system(Path("/var/lib x/y"), mountinfo) == "xfs"
    assert file_system(Path("/variable"), mountinfo) == "ext4"


def test_a_default_route() -> None:
    header = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    assert has_default_route(header + "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n")
    assert not has_default_route(header + "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
    assert not has_default_route("")


def test_chains_that_drop_what_is_forwarded() -> None:
    chain = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
    other = {**chain, "name": "INPUT", "hook": "input"}
    assert dropping_chains(
        json.dumps({"nftables": [{"metainfo": {}}, {"chain": chain}, {"chain": other}]})
    ) == ["ip filter FORWARD"]
    assert dropping_chains("") == []


def config(tmp_path: Path) -> Config:
    return Config(
        data_dir=tmp_path / "data",
        run_dir=tmp_path / "run",
        log_dir=tmp_path / "log",
        bridge="mptnone0",
        nft_table="mptnone",
        cgroup_parent="mptnone",
        node_name="x",
    )


UID = "6b1f0c2e-3f57-4d0e-9a53-0f1d2f7f9a11"
OTHER = "7b1f0c2e-3f57-4d0e-9a53-0f1d2f7f9a11"


def test_a_host_without_a_trace(tmp_path: Path) -> None:
    assert look(config(tmp_path)).lines() == []


def test_only_our_pods_logs_are_ours(tmp_path: Path) -> None:
    settings = config(tmp_path)
    (settings.data_dir / "pods" / UID).mkdir(parents=True)
    for name in (f"default_web_{UID}", f"default_web_{OTHER}", "something else"):
        (settings.log_dir / name).mkdir(parents=True)
    assert known_uids(settings) == {UID}
    found = look(settings)
    assert found.logs == (settings.log_dir / f"default_web_{UID}",)
    assert found.directories == (settings.data_dir,)
    assert f"directory {settings.data_dir}" in found.lines()


def test_a_directory_with_strangers_is_not_ours(tmp_path: Path) -> None:
    assert strangers(tmp_path / "none", DATA_MARKS) == ""
    assert strangers(tmp_path, DATA_MARKS) == ""
    (tmp_path / "state.db").touch()
    assert strangers(tmp_path, DATA_MARKS) == ""
    (tmp_path / "thesis.tex").touch()
    assert "thesis.tex" in strangers(tmp_path, DATA_MARKS)
    (tmp_path / "lock").touch()
    assert strangers(tmp_path, DATA_MARKS) == ""
    (tmp_path / "state.db").rename(tmp_path / "other.db")
    assert "thesis.tex" in strangers(tmp_path, DATA_MARKS)
    assert "not a directory" in strangers(tmp_path / "other.db", DATA_MARKS)


def test_who_holds_a_lock(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.touch()
    about = os.stat(file)
    place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    locks = (
        f"1: POSIX  ADVISORY  WRITE 11 {place} 0 EOF\n"
        f"2: FLOCK  ADVISORY  WRITE 22 {place} 0 EOF\n"
        f"2: -> FLOCK  ADVISORY  WRITE 33 {place} 0 EOF\n"
    )
    assert lock_holder(about, locks) == 22
    assert lock_holder(about, "1: FLOCK  ADVISORY  WRITE 22 00:00:1 0 EOF\n") == 0


def anatomy() -> dict[str, Any]:
    host = {"net": 1, "pid": 2, "mnt": 3, "user": 4}
    inside = {**host, "net": 10}
    return {
        "pod": {
            "namespace": "default",
            "name": "web",
            "uid": UID,
            "phase": "Running",
            "qosClass": "Burstable",
        },
        "node": "node1",
        "hostNamespaces": host,
        "shim": {"pid": 100, "rssBytes": 1 << 20, "command": "python ..."},
        "infra": {"pid": 101, "command": "/pause", "rssBytes": 4096, "namespaces": {**inside, "mnt": 11}},
        "cgroup": {
            "path": "/sys/fs/cgroup/minipod/pod",
            "limits": {"cpu.max": "50000 100000", "memory.max": "67108864", "pids.max": "max"},
            "usage": {"cpuMicroseconds": 1500000, "memoryBytes": 4718592, "pids": 3},
        },
        "network": {
            "hostNetwork": False,
            "ip": "10.64.0.5",
            "prefixLength": 16,
            "gateway": "10.64.0.1",
            "podInterface": "eth0",
            "hostInterface": "mp123",
            "bridge": "minipod0",
            "mac": "0a:58:0a:40:00:05",
            "mtu": 1500,
            "ports": [{"containerPort": 80, "hostPort": 8080, "protocol": "TCP", "hostIP": ""}],
        },
        "volumes": [],
        "containers": [
            {
                "name": "app",
                "kind": "container",
                "image": "minipod/base",
                "state": "running",
                "restartCount": 1,
                "pid": 102,
                "user": "0:0",
                "capabilities": ["CAP_CHOWN"],
                "boundingCapabilities": ["CAP_CHOWN"],
                "namespaces": {**inside, "pid": 12, "mnt": 13},
                "cgroup": {"path": "/c", "limits": {}, "usage": {}},
                "rootfs": {"layers": ["/l/1"], "upper": "/u", "work": "/w"},
                "mounts": [{"path": "/data", "volume": "v", "readOnly": True}],
                "logPath": "/log",
                "processes": [
                    {"pid": 103, "parent": 102, "innerPid": 7, "command": "sleep\x1b[2J 1", "rssBytes": 0},
                    {"pid": 102, "parent": 100, "innerPid": 1, "command": "sh", "rssBytes": 0},
                ],
            }
        ],
    }


def test_who_shares_which_namespace() -> None:
    assert list(shared_namespaces(anatomy())) == [
        ("net", 10, ["infra", "app"]),
        ("pid", 2, ["the host", "infra"]),
        ("pid", 12, ["app"]),
        ("mnt", 11, ["infra"]),
        ("mnt", 13, ["app"]),
        ("user", 4, ["the host", "infra", "app"]),
    ]


def test_a_drawing_shows_every_part() -> None:
    lines = draw_pod(anatomy()).splitlines()
    assert lines[0] == f"pod default/web: Running, Burstable, on node1, uid {UID}"
    text = "\n".join(lines)
    for part in (
        "├─ infra  pid 101  /pause  4Ki",
        "eth0 10.64.0.5/16 == veth pair == mp123 -> bridge minipod0 (gateway 10.64.0.1)",
        "0.0.0.0:8080 on the host -> 80/TCP",
        "1.500s used  limit 0.5 of a processor",
        "4.5Mi used   limit 64Mi",
        "3 processes  no limit",
        "not limited: this host's cgroup2 has no memory controller",
        "container app: running, pid 102, 1 restarts, image minipod/base",
        "root: overlay of 1 read-only layer, top first",
        "mount /data <- volume v (ro)",
    ):
        assert part in text
    at = next(i for i, line in enumerate(lines) if line.endswith("102, 1: sh"))
    assert lines[at + 1].endswith("   └─ 103, 7: sleep^[[2J 1")


def test_the_bounding_set_is_drawn_where_it_is_more_than_what_counts() -> None:
    pod = anatomy()
    assert "user 0:0, capabilities: chown\n" in draw_pod(pod)
    pod["containers"][0] |= {"user": "1000:1000", "capabilities": []}
    assert "user 1000:1000, capabilities: none (bounding: chown)\n" in draw_pod(pod)


def test_a_command_of_many_lines_is_drawn_on_one() -> None:
    pod = anatomy()
    pod["infra"]["command"] = "sh -c\n  one\n  two"
    assert "sh -c one two" in draw_pod(pod)


def test_a_drawing_for_a_terminal_that_knows_only_ascii() -> None:
    assert draw_pod(anatomy(), plain=True).isascii()


def test_pods_of_the_host_network_and_pods_without_a_sandbox() -> None:
    on_host = anatomy() | {"network": {"hostNetwork": True, "ip": "192.0.2.1", "ports": []}}
    assert "network: the host's own, address 192.0.2.1" in draw_pod(on_host)
    nothing = {"pod": anatomy()["pod"], "node": "node1"}
    assert "no sandbox" in draw_pod(nothing)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (1023, "1023"), (1024, "1Ki"), (1536, "1.5Ki"), (5 << 30, "5Gi")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
