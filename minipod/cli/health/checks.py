"""What a host must and may have: a table of checks, and the judgement of a host's facts by it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

OLDEST_KERNEL = (5, 14)
OLDEST_PYTHON = (3, 11)

NEEDED_CAPABILITIES = frozenset(
    (
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_MKNOD",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYS_ADMIN",
        "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE",
    )
)

UPPER_FILE_SYSTEMS = frozenset(("ext4", "xfs", "btrfs", "tmpfs", "f2fs", "ext3", "ext2", "zfs", "bcachefs"))
"""What overlayfs takes as its writable layer, with extended attributes and d_type."""

FREE_DISK = 1 << 30


class Need(StrEnum):
    REQUIRED = "required"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found on a host. In `trials` an empty text stands for success, any other for the error."""

    kernel: str
    python: tuple[int, ...]
    uid: int
    capabilities: frozenset[str]
    cgroup_mount: str
    controllers: frozenset[str]
    programs: Mapping[str, str] = field(default_factory=dict)
    """Name -> path; "" for one that is not there."""
    trials: Mapping[str, str] = field(default_factory=dict)
    data_dir: str = ""
    data_file_system: str = ""
    data_free: int = 0
    init: str = ""
    ip_forward: str = ""
    default_route: bool = False
    dropping_chains: tuple[str, ...] = ()
    pressure: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """`detail` is what was found."""

    good: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """`why` is what it is for, or what is lost without it; `fix` is what to do when it is missing."""

    group: str
    name: str
    need: Need
    test: Callable[[Facts], Result]
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Finding:
    check: Check
    result: Result

    @property
    def fatal(self) -> bool:
        return not self.result.good and self.check.need is Need.REQUIRED


def judge(facts: Facts) -> list[Finding]:
    return [Finding(check, check.test(facts)) for check in CHECKS]


def _kernel(facts: Facts) -> Result:
    numbers = tuple(int(n) for n in re.findall(r"\d+", facts.kernel)[:2])
    return Result(numbers >= OLDEST_KERNEL, facts.kernel)


def _python(facts: Facts) -> Result:
    return Result(facts.python >= OLDEST_PYTHON, ".".join(map(str, facts.python)))


def _root(facts: Facts) -> Result:
    return Result(facts.uid == 0, f"user {facts.uid}")


def _capabilities(facts: Facts) -> Result:
    missing = sorted(NEEDED_CAPABILITIES - facts.capabilities)
    return Result(
        not missing, f"missing {', '.join(missing)}" if missing else f"all {len(NEEDED_CAPABILITIES)}"
    )


def _capability(name: str) -> Callable[[Facts], Result]:
    return lambda facts: Result(
        name in facts.capabilities, "held" if name in facts.capabilities else "not held"
    )


def _cgroup(facts: Facts) -> Result:
    return Result(bool(facts.cgroup_mount), facts.cgroup_mount or "not mounted")


def _controller(name: str) -> Callable[[Facts], Result]:
    def test(facts: Facts) -> Result:
        return Result(
            name in facts.controllers, "available" if name in facts.controllers else "not on cgroup2"
        )

    return test


def _trial(name: str) -> Callable[[Facts], Result]:
    def test(facts: Facts) -> Result:
        problem = facts.trials.get(name, "not tried: an earlier step failed")
        return Result(not problem, problem or "works")

    return test


def _program(name: str) -> Callable[[Facts], Result]:
    return lambda facts: Result(bool(facts.programs.get(name)), facts.programs.get(name) or "not found")


def _file_system(facts: Facts) -> Result:
    kind = facts.data_file_system
    return Result(kind in UPPER_FILE_SYSTEMS, f"{facts.data_dir} is on {kind or 'an unknown file system'}")


def _disk(facts: Facts) -> Result:
    return Result(
        facts.data_free >= FREE_DISK, f"{facts.data_free / (1 << 30):.1f} GiB free at {facts.data_dir}"
    )


def _forward(facts: Facts) -> Result:
    return Result(
        facts.ip_forward == "1", "on" if facts.ip_forward == "1" else "off: the daemon turns it on"
    )


def _firewall(facts: Facts) -> Result:
    chains = facts.dropping_chains
    return Result(
        not chains, f"dropped by default in {', '.join(chains)}" if chains else "not dropped by default"
    )


def _route(facts: Facts) -> Result:
    return Result(facts.default_route, "present" if facts.default_route else "none")


def _pressure(facts: Facts) -> Result:
    return Result(facts.pressure, "present" if facts.pressure else "no /proc/pressure")


def _systemd(facts: Facts) -> Result:
    return Result(facts.init == "systemd", f"process 1 is {facts.init or 'unknown'}")


UNIFIED = (
    "give the controllers to cgroup2: boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all; "
    "until then --cgroup-enforcement=best-effort runs such pods with a warning"
)
NEWER_KERNEL = "use a kernel of 5.14 or newer (Debian 12, Ubuntu 22.04 and later have one)"
OPEN_CONTAINER = (
    "if this is a container, run it privileged: its seccomp or AppArmor profile forbids the call"
)
RUN_AS_ROOT = "run it as root: sudo minipod doctor"

CHECKS = (
    Check(
        "host",
        "Linux 5.14",
        Need.REQUIRED,
        _kernel,
        "cgroup.kill, mount_setattr, idmapped mounts",
        NEWER_KERNEL,
    ),
    Check(
        "host", "Python 3.11", Need.REQUIRED, _python, "what minipod is written in", "apt install python3"
    ),
    Check("host", "root", Need.REQUIRED, _root, "namespaces, mounts and cgroups are root's", RUN_AS_ROOT),
    Check(
        "host",
        "capabilities",
        Need.REQUIRED,
        _capabilities,
        "to make namespaces, mounts, interfaces and other users' processes",
        "run it as root on the host, or in a privileged container",
    ),
    Check(
        "host",
        "CAP_SYS_RESOURCE",
        Need.OPTIONAL,
        _capability("CAP_SYS_RESOURCE"),
        "without it the OOM killer's preferences (oom_score_adj) cannot be lowered nor hard limits raised",
        "add the capability to whatever starts the daemon",
    ),
    Check(
        "host",
        "systemd",
        Need.OPTIONAL,
        _systemd,
        "starts the daemon at boot",
        "start the daemon by other means",
    ),
    Check(
        "process", "pidfd", Need.REQUIRED, _trial("pidfd"), "processes that cannot be mistaken", NEWER_KERNEL
    ),
    Check("process", "clone3", Need.REQUIRED, _trial("clone3"), "births inside a cgroup", OPEN_CONTAINER),
    Check("process", "namespaces", Need.REQUIRED, _trial("namespaces"), "what makes a pod", OPEN_CONTAINER),
    Check(
        "process",
        "pid namespace",
        Need.REQUIRED,
        _trial("pid namespace"),
        "a process 1 of one's own",
        OPEN_CONTAINER,
    ),
    Check(
        "process",
        "user namespace",
        Need.OPTIONAL,
        _trial("user namespace"),
        "pods with hostUsers: false",
        "sysctl -w user.max_user_namespaces=10000",
    ),
    Check(
        "process",
        "seccomp",
        Need.REQUIRED,
        _trial("seccomp"),
        "filters on system calls",
        "CONFIG_SECCOMP_FILTER=y",
    ),
    Check(
        "files",
        "mount API",
        Need.REQUIRED,
        _trial("mount API"),
        "mounts that cannot be diverted",
        OPEN_CONTAINER,
    ),
    Check(
        "files",
        "openat2",
        Need.REQUIRED,
        _trial("openat2"),
        "look-ups that stay inside an image",
        OPEN_CONTAINER,
    ),
    Check(
        "files",
        "overlayfs",
        Need.REQUIRED,
        _trial("overlayfs"),
        "image layers below a writable one",
        "modprobe overlay",
    ),
    Check(
        "files",
        "data directory",
        Need.REQUIRED,
        _file_system,
        "overlayfs needs an ordinary file system below its writable layer",
        "put --data-dir on ext4, xfs, btrfs or tmpfs (in a container: on a volume)",
    ),
    Check(
        "files",
        "disk space",
        Need.OPTIONAL,
        _disk,
        "images and what containers write",
        "make room for 1 GiB",
    ),
    Check(
        "files",
        "tar",
        Need.OPTIONAL,
        _program("tar"),
        "image build-rootfs from a directory",
        "apt install tar",
    ),
    Check(
        "cgroup",
        "cgroup2",
        Need.REQUIRED,
        _cgroup,
        "to track, freeze and kill pods",
        "mount -t cgroup2 none /sys/fs/cgroup/unified",
    ),
    Check("cgroup", "cpu", Need.OPTIONAL, _controller("cpu"), "limits and shares of processors", UNIFIED),
    Check("cgroup", "memory", Need.OPTIONAL, _controller("memory"), "limits of memory", UNIFIED),
    Check("cgroup", "pids", Need.OPTIONAL, _controller("pids"), "limits of processes", UNIFIED),
    Check("cgroup", "hugetlb", Need.OPTIONAL, _controller("hugetlb"), "limits of huge pages", UNIFIED),
    Check(
        "cgroup", "pressure", Need.OPTIONAL, _pressure, "how long processes wait (PSI)", "boot with psi=1"
    ),
    Check("network", "bridge", Need.REQUIRED, _trial("bridge"), "the pods' switch", "modprobe bridge"),
    Check("network", "veth", Need.REQUIRED, _trial("veth"), "a pod's cable to it", "modprobe veth"),
    Check(
        "network",
        "nft",
        Need.REQUIRED,
        _program("nft"),
        "rules for masquerade and ports",
        "apt install nftables",
    ),
    Check(
        "network",
        "nftables nat",
        Need.REQUIRED,
        _trial("nftables nat"),
        "pods reach the world, the world reaches host ports",
        "modprobe nft_masq nft_chain_nat",
    ),
    Check(
        "network",
        "IP forwarding",
        Need.OPTIONAL,
        _forward,
        "pods reach beyond this host",
        "sysctl -w net.ipv4.ip_forward=1",
    ),
    Check(
        "network",
        "forwarding allowed",
        Need.OPTIONAL,
        _firewall,
        "another firewall (docker, ufw, firewalld) drops what it does not know, pods' packets too",
        "accept the bridge in it: iptables -I FORWARD -i minipod0 -j ACCEPT; iptables -I FORWARD -o minipod0 -j ACCEPT",
    ),
    Check(
        "network",
        "default route",
        Need.OPTIONAL,
        _route,
        "pods reach the world",
        "none is needed on an island",
    ),
)
