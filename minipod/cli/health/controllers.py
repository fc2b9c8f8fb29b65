"""Why a cgroup controller is not there for pods, and what to do about it. Pure.

https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/kernel-parameters.html
(cgroup_disable=, cgroup_no_v1=) and https://systemd.io/CGROUP_DELEGATION/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from minipod.cli.health import boot
from minipod.cli.health.boot import Boot
from minipod.linux.cgroup2.delegation import Level

V1_NAMES = {"io": "blkio"}
"""cgroup v2 controller -> its name in v1 and in /proc/cgroups, where they differ."""

OPTIONS = {
    "cpu": "CONFIG_CGROUP_SCHED=y CONFIG_FAIR_GROUP_SCHED=y CONFIG_CFS_BANDWIDTH=y",
    "cpuset": "CONFIG_CPUSETS=y",
    "io": "CONFIG_BLK_CGROUP=y",
    "memory": "CONFIG_MEMCG=y",
    "pids": "CONFIG_CGROUP_PIDS=y",
    "hugetlb": "CONFIG_CGROUP_HUGETLB=y",
}

UNIFIED = ("systemd.unified_cgroup_hierarchy=1", "cgroup_no_v1=all")
LEGACY = (
    "systemd.unified_cgroup_hierarchy=0",
    "systemd.unified_cgroup_hierarchy=no",
    "systemd.unified_cgroup_hierarchy=false",
    "systemd.legacy_systemd_cgroup_controller=1",
    "systemd.legacy_systemd_cgroup_controller=yes",
    "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
)
"""Parameters by which somebody chose the old hierarchy: they would win over UNIFIED."""

BEST_EFFORT = "until then --cgroup-enforcement=best-effort runs pods that ask for it, with a warning"
MOVE_INIT = (
    "move them to a group below first: G={path}; mkdir $G/init; "
    "for p in $(cat $G/cgroup.procs); do echo $p > $G/init/cgroup.procs; done"
)


@dataclass(frozen=True, slots=True)
class Subsystem:
    """A line of /proc/cgroups: 0 is the hierarchy of cgroup2, or of none."""

    hierarchy: int
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroups:
    """What a host says of its cgroups. `way`: from the cgroup2 mount towards the parent of all pods."""

    subsystems: Mapping[str, Subsystem] = field(default_factory=dict)
    v1_mounts: Mapping[str, str] = field(default_factory=dict)
    """v1 controller -> where it is mounted."""
    way: tuple[Level, ...] = ()
    writable: bool = True
    boot: Boot = field(default_factory=Boot)


@dataclass(frozen=True, slots=True)
class Answer:
    """`why` in few words; `fix` is empty when the controller is there."""

    why: str
    fix: str = ""


def explain(name: str, host: Cgroups) -> Answer:
    """Whether pods can have the controller; if not, what stands in the way first and the way out."""
    if not host.way:
        return Answer("cgroup2 is not mounted", "mount cgroup2 first")
    top = host.way[0]
    if name not in top.controllers:
        answer = _not_at_the_top(name, host, top)
        return Answer(answer.why, f"{answer.fix}; {BEST_EFFORT}")
    for above, level in zip((None, *host.way), host.way, strict=False):
        if name not in level.controllers:
            return _not_delegated(name, above or top, level)
        if level.occupied and name not in level.handed_down:
            return Answer(
                f"in {level.path}, whose own processes keep it from being handed down",
                MOVE_INIT.format(path=level.path),
            )
    return Answer("available")


def _not_at_the_top(name: str, host: Cgroups, top: Level) -> Answer:
    old_name = V1_NAMES.get(name, name)
    subsystem = host.subsystems.get(old_name)
    if place := host.v1_mounts.get(old_name):
        return Answer(f"mounted as cgroup v1 at {place}", unify(host.boot))
    if _disabled(old_name, name, subsystem, host.boot):
        return _enable(old_name, name, host.boot)
    if subsystem and subsystem.hierarchy:
        return Answer(
            f"held by cgroup v1 (hierarchy {subsystem.hierarchy} of /proc/cgroups)", unify(host.boot)
        )
    if not top.real_root:
        kind = host.boot.container or "container"
        return Answer(
            f"not delegated to this {kind}: {top.path}/cgroup.controllers lacks it", _delegate(kind)
        )
    if subsystem is None:
        return Answer("not in this kernel", f"use a kernel with {OPTIONS.get(name, name)}")
    return Answer("not on cgroup2, though the kernel has it", unify(host.boot))


def unify(machine: Boot) -> str:
    """How to give all controllers to cgroup2."""
    return boot.change(machine, add=UNIFIED, remove=LEGACY)


def _disabled(old_name: str, name: str, subsystem: Subsystem | None, machine: Boot) -> bool:
    if subsystem is not None:
        return not subsystem.enabled
    # Kernels from 6.15 list no controller that cgroup v1 cannot have; then the command line must tell.
    return bool(_disabling(old_name, name, machine))


def _disabling(old_name: str, name: str, machine: Boot) -> list[str]:
    """The parameters that switch it off; several controllers may be named by one."""
    return [
        word
        for word in machine.cmdline
        if word.startswith("cgroup_disable=") and {old_name, name} & set(word.partition("=")[2].split(","))
    ]


def _enable(old_name: str, name: str, machine: Boot) -> Answer:
    words = _disabling(old_name, name, machine)
    if machine.raspberry_pi:
        # The firmware puts cgroup_disable=memory in front of what is in the file; its kernels know the antidote.
        why = f"disabled by {' '.join(words) or 'default'} on the kernel command line"
        return Answer(why, boot.change(machine, add=(f"cgroup_enable={old_name}",)))
    if words:
        kept = [_without(word, old_name, name) for word in words]
        fix = boot.change(machine, add=[word for word in kept if word], remove=words)
        return Answer(f"disabled by {' '.join(words)} on the kernel command line", fix)
    return Answer(
        "disabled by default in this kernel", boot.change(machine, add=(f"cgroup_enable={old_name}",))
    )


def _without(word: str, *names: str) -> str:
    left = [part for part in word.partition("=")[2].split(",") if part not in names]
    return f"cgroup_disable={','.join(left)}" if left else ""


def _delegate(kind: str) -> str:
    match kind:
        case "lxc" | "lxc-libvirt":
            return (
                "let the container's manager have it: Delegate=yes for the unit on the host that starts lxc"
            )
        case "docker" | "podman":
            return f"start the container with --privileged --cgroupns=private, by a {kind} that runs as root"
    return "let the container's manager hand it down (cgroup.subtree_control on the host)"


def _not_delegated(name: str, above: Level, level: Level) -> Answer:
    unit = level.path.rsplit("/", 1)[-1]
    why = f"not delegated: {above.path}/cgroup.subtree_control lacks it, so {level.path} does too"
    if above.occupied:
        return Answer(why, MOVE_INIT.format(path=above.path))
    if unit.endswith((".service", ".scope", ".slice")):
        way = f"systemctl edit {unit}, with Delegate=yes in its [{unit.rsplit('.', 1)[-1].title()}] section, restart it"
        return Answer(why, f"{way} (minipod install does this for its own)")
    return Answer(why, f"echo +{name} > {above.path}/cgroup.subtree_control")
