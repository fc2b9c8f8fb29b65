"""Judging a host's facts, one question after the other. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from minipod.cli.health import boot
from minipod.cli.health.checks import Facts, Result
from minipod.cli.health.controllers import explain
from minipod.systemd.units import SLICE

OLDEST_KERNEL = (5, 14)
OLDEST_PYTHON = (3, 11)
OLDEST_SYSTEMD = 252

SYSCTL_FILE = "/etc/sysctl.d/60-minipod.conf"
READ_ONLY = (
    "mount -o remount,rw it; in a container: start that with --privileged --cgroupns=private "
    "(Docker, Podman) or as a system container (LXC, systemd-nspawn)"
)

Test = Callable[[Facts], Result]

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


def kernel(facts: Facts) -> Result:
    numbers = tuple(int(n) for n in re.findall(r"\d+", facts.kernel)[:2])
    return Result(numbers >= OLDEST_KERNEL, facts.kernel)


def python(facts: Facts) -> Result:
    return Result(facts.python >= OLDEST_PYTHON, ".".join(map(str, facts.python)))


def root(facts: Facts) -> Result:
    return Result(facts.uid == 0, f"user {facts.uid}")


def capabilities(facts: Facts) -> Result:
    missing = sorted(NEEDED_CAPABILITIES - facts.capabilities)
    return Result(
        not missing, f"missing {', '.join(missing)}" if missing else f"all {len(NEEDED_CAPABILITIES)}"
    )


def capability(name: str) -> Test:
    return lambda facts: Result(
        name in facts.capabilities, "held" if name in facts.capabilities else "not held"
    )


def cgroup(facts: Facts) -> Result:
    if facts.cgroup_mount and not facts.cgroups.writable:
        return Result(False, f"{facts.cgroup_mount} is mounted read-only", READ_ONLY)
    return Result(bool(facts.cgroup_mount), facts.cgroup_mount or "not mounted")


def controller(name: str) -> Test:
    def test(facts: Facts) -> Result:
        answer = explain(name, facts.cgroups)
        return Result(not answer.fix, answer.why, answer.fix)

    return test


def trial(name: str) -> Test:
    def test(facts: Facts) -> Result:
        problem = facts.trials.get(name, "not tried: an earlier step failed")
        return Result(not problem, problem or "works")

    return test


def program(name: str) -> Test:
    return lambda facts: Result(bool(facts.programs.get(name)), facts.programs.get(name) or "not found")


def file_system(facts: Facts) -> Result:
    kind = facts.data_file_system
    return Result(kind in UPPER_FILE_SYSTEMS, f"{facts.data_dir} is on {kind or 'an unknown file system'}")


def disk(facts: Facts) -> Result:
    return Result(
        facts.data_free >= FREE_DISK, f"{facts.data_free / (1 << 30):.1f} GiB free at {facts.data_dir}"
    )


def forward(facts: Facts) -> Result:
    return Result(
        facts.ip_forward == "1", "on" if facts.ip_forward == "1" else "off: the daemon turns it on"
    )


def firewall(facts: Facts) -> Result:
    chains = facts.dropping_chains
    return Result(
        not chains, f"dropped by default in {', '.join(chains)}" if chains else "not dropped by default"
    )


def route(facts: Facts) -> Result:
    return Result(facts.default_route, "present" if facts.default_route else "none")


def pressure(facts: Facts) -> Result:
    """PSI is compiled in and off on some distributions, and can be switched off for cgroups alone."""
    cmdline = facts.cgroups.boot.cmdline
    off = [word for word in cmdline if word in ("psi=0", "psi=n", "cgroup_disable=pressure")]
    if facts.pressure and not off:
        return Result(True, "present")
    if facts.kernel_options.get("CONFIG_PSI") == "n":
        return Result(False, "not in this kernel", "use a kernel with CONFIG_PSI=y")
    why = f"switched off by {' '.join(off)}" if off else "no /proc/pressure: off by default in this kernel"
    add = () if facts.pressure else ("psi=1",)
    return Result(False, why, boot.change(facts.cgroups.boot, add=add, remove=off))


def systemd(facts: Facts) -> Result:
    if facts.init != "systemd":
        return Result(False, f"process 1 is {facts.init or 'unknown'}")
    old = 0 < facts.systemd_version < OLDEST_SYSTEMD
    fix = f"use systemd {OLDEST_SYSTEMD} or newer: minipod install is made for it, older ones ignore parts of the units"
    return Result(not old, f"version {facts.systemd_version or 'unknown'}", fix)


def delegation(facts: Facts) -> Result:
    """systemd asks to be left alone outside of what it delegates (https://systemd.io/CGROUP_DELEGATION/)."""
    parent = facts.cgroup_parent
    if facts.init != "systemd":
        return Result(True, f"{parent}: no systemd to share the tree with")
    delegated = parent.startswith(f"{SLICE}/")
    return Result(
        delegated, f"{parent}: {'delegated by systemd' if delegated else 'made beside systemd, by hand'}"
    )


def logind(facts: Facts) -> Result:
    delay = facts.shutdown_delay
    if delay is None:
        return Result(False, "no systemd-logind")
    told = f"a shutdown waits up to {delay:g} s"
    if delay < facts.shutdown_grace:
        told += f"; the daemon raises it to shutdownGracePeriod, {facts.shutdown_grace:g} s"
    return Result(True, told)


def user_namespaces(facts: Facts) -> Result:
    limit = facts.sysctls.get("user.max_user_namespaces")
    if limit == 0:
        return Result(False, "user.max_user_namespaces is 0")
    if limit is None:
        return Result(False, "not in this kernel", "use a kernel with CONFIG_USER_NS=y")
    return trial("user namespace")(facts)


def at_least(lowest: Mapping[str, int]) -> Test:
    """Whether limits of the kernel are no lower than this; one that the kernel does not have is none."""

    def test(facts: Facts) -> Result:
        low = {name: least for name, least in lowest.items() if facts.sysctls.get(name, least) < least}
        if not low:
            there = {name: facts.sysctls[name] for name in lowest if name in facts.sysctls}
            if len(there) > 1 and len(set(there.values())) == 1:
                return Result(True, f"{next(iter(there.values()))} each")
            told = ", ".join(f"{name} {value}" for name, value in there.items())
            return Result(True, told or "no such limits")
        words = " ".join(f"{name}={least}" for name, least in low.items())
        return Result(
            False,
            ", ".join(f"{name} is {facts.sysctls[name]}" for name in low),
            f"sysctl -w {words}; to keep it, as lines in {SYSCTL_FILE}",
        )

    return test


def swap(facts: Facts) -> Result:
    if not facts.swap:
        return Result(True, "none")
    amount = f"{facts.swap / (1 << 30):.1f} GiB"
    if facts.swap_counted:
        return Result(True, f"{amount}; pods use none unless swapBehavior is LimitedSwap")
    machine = facts.cgroups.boot
    off = [word for word in machine.cmdline if word in ("swapaccount=0", "swapaccount=n")]
    fix = f"swapoff -a, or {boot.change(machine, add=('swapaccount=1',), remove=off)}"
    return Result(
        False, f"{amount}, which pods use beyond their memory limit: groups have no memory.swap.max", fix
    )
