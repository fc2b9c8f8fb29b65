"""The table of all checks: what for, and what to do when it is missing."""

from __future__ import annotations

from minipod.cli.health import judgements
from minipod.cli.health.checks import Check, Facts, Finding, Need


def judge(facts: Facts) -> list[Finding]:
    return [Finding(check, check.test(facts)) for check in CHECKS]


NEWER_KERNEL = "use a kernel of 5.14 or newer (Debian 12, Ubuntu 22.04 and later have one)"
OPEN_CONTAINER = (
    "if this is a container, run it privileged: its seccomp or AppArmor profile forbids the call"
)
RUN_AS_ROOT = "run it as root: sudo minipod doctor"

NAMESPACE_LIMITS = {
    f"user.max_{kind}_namespaces": 1000 for kind in ("net", "mnt", "pid", "ipc", "uts", "cgroup")
}
INOTIFY_LIMITS = {"fs.inotify.max_user_instances": 512, "fs.inotify.max_user_watches": 65536}
"""What many pods that watch files need; the kernel's 128 instances are used up by a few."""

CHECKS = (
    Check(
        "host",
        "Linux 5.14",
        Need.REQUIRED,
        judgements.kernel,
        "cgroup.kill, mount_setattr, idmapped mounts",
        NEWER_KERNEL,
    ),
    Check(
        "host",
        "Python 3.11",
        Need.REQUIRED,
        judgements.python,
        "what minipod is written in",
        "apt install python3",
    ),
    Check(
        "host",
        "root",
        Need.REQUIRED,
        judgements.root,
        "namespaces, mounts and cgroups are root's",
        RUN_AS_ROOT,
    ),
    Check(
        "host",
        "capabilities",
        Need.REQUIRED,
        judgements.capabilities,
        "to make namespaces, mounts, interfaces and other users' processes",
        "run it as root on the host, or in a privileged container",
    ),
    Check(
        "host",
        "CAP_SYS_RESOURCE",
        Need.OPTIONAL,
        judgements.capability("CAP_SYS_RESOURCE"),
        "without it the OOM killer's preferences (oom_score_adj) cannot be lowered nor hard limits raised",
        "add the capability to whatever starts the daemon",
    ),
    Check(
        "host",
        "systemd",
        Need.OPTIONAL,
        judgements.systemd,
        "starts the daemon at boot, watches it, shares the cgroup tree (minipod install)",
        "start the daemon by other means",
    ),
    Check(
        "host",
        "logind",
        Need.OPTIONAL,
        judgements.logind,
        "pods end in order, with their grace period, before the machine shuts down",
        "apt install dbus libpam-systemd; without it a shutdown ends pods when it stops the service",
    ),
    Check(
        "process",
        "pidfd",
        Need.REQUIRED,
        judgements.trial("pidfd"),
        "processes that cannot be mistaken",
        NEWER_KERNEL,
    ),
    Check(
        "process",
        "clone3",
        Need.REQUIRED,
        judgements.trial("clone3"),
        "births inside a cgroup",
        OPEN_CONTAINER,
    ),
    Check(
        "process",
        "namespaces",
        Need.REQUIRED,
        judgements.trial("namespaces"),
        "what makes a pod",
        OPEN_CONTAINER,
    ),
    Check(
        "process",
        "pid namespace",
        Need.REQUIRED,
        judgements.trial("pid namespace"),
        "a process 1 of one's own",
        OPEN_CONTAINER,
    ),
    Check(
        "process",
        "user namespace",
        Need.OPTIONAL,
        judgements.user_namespaces,
        "pods with hostUsers: false",
        "sysctl -w user.max_user_namespaces=10000",
    ),
    Check(
        "process",
        "namespace limits",
        Need.OPTIONAL,
        judgements.at_least(NAMESPACE_LIMITS),
        "each pod takes a network namespace, each container a mount, pid and cgroup namespace",
        "",
    ),
    Check(
        "process",
        "process ids",
        Need.OPTIONAL,
        judgements.at_least({"kernel.pid_max": 32768, "kernel.threads-max": 8192}),
        "all processes and threads of this machine together",
        "",
    ),
    Check(
        "process",
        "seccomp",
        Need.REQUIRED,
        judgements.trial("seccomp"),
        "filters on system calls",
        "CONFIG_SECCOMP_FILTER=y",
    ),
    Check(
        "files",
        "mount API",
        Need.REQUIRED,
        judgements.trial("mount API"),
        "mounts that cannot be diverted",
        OPEN_CONTAINER,
    ),
    Check(
        "files",
        "openat2",
        Need.REQUIRED,
        judgements.trial("openat2"),
        "look-ups that stay inside an image",
        OPEN_CONTAINER,
    ),
    Check(
        "files",
        "overlayfs",
        Need.REQUIRED,
        judgements.trial("overlayfs"),
        "image layers below a writable one",
        "modprobe overlay",
    ),
    Check(
        "files",
        "data directory",
        Need.REQUIRED,
        judgements.file_system,
        "overlayfs needs an ordinary file system below its writable layer",
        "put --data-dir on ext4, xfs, btrfs or tmpfs (in a container: on a volume)",
    ),
    Check(
        "files",
        "disk space",
        Need.OPTIONAL,
        judgements.disk,
        "images and what containers write",
        "make room for 1 GiB",
    ),
    Check(
        "files",
        "inotify",
        Need.OPTIONAL,
        judgements.at_least(INOTIFY_LIMITS),
        "containers that run as root share the daemon's: programs that watch files fail with too many open files",
        "",
    ),
    Check(
        "files",
        "tar",
        Need.OPTIONAL,
        judgements.program("tar"),
        "image build-rootfs from a directory",
        "apt install tar",
    ),
    Check(
        "cgroup",
        "cgroup2",
        Need.REQUIRED,
        judgements.cgroup,
        "to track, freeze and kill pods",
        "mount -t cgroup2 none /sys/fs/cgroup/unified",
    ),
    Check(
        "cgroup",
        "delegation",
        Need.OPTIONAL,
        judgements.delegation,
        "systemd leaves alone what it has delegated, and stops what it started",
        "run minipod as a service: minipod install",
    ),
    *(
        Check("cgroup", name, Need.OPTIONAL, judgements.controller(name), what, "")
        for name, what in {
            "cpu": "limits and shares of processors",
            "memory": "limits of memory, and telling whose memory it is",
            "pids": "limits of processes: what stops a fork bomb",
            "io": "shares and limits of disk access",
            "hugetlb": "limits of huge pages",
        }.items()
    ),
    Check(
        "cgroup",
        "pressure",
        Need.OPTIONAL,
        judgements.pressure,
        "how long processes wait (PSI)",
        "boot with psi=1",
    ),
    Check("cgroup", "swap", Need.OPTIONAL, judgements.swap, "memory limits that hold", ""),
    Check(
        "network", "bridge", Need.REQUIRED, judgements.trial("bridge"), "the pods' switch", "modprobe bridge"
    ),
    Check(
        "network", "veth", Need.REQUIRED, judgements.trial("veth"), "a pod's cable to it", "modprobe veth"
    ),
    Check(
        "network",
        "nft",
        Need.REQUIRED,
        judgements.program("nft"),
        "rules for masquerade and ports",
        "apt install nftables",
    ),
    Check(
        "network",
        "nftables nat",
        Need.REQUIRED,
        judgements.trial("nftables nat"),
        "pods reach the world, the world reaches host ports",
        "modprobe nft_masq nft_chain_nat",
    ),
    Check(
        "network",
        "IP forwarding",
        Need.OPTIONAL,
        judgements.forward,
        "pods reach beyond this host",
        "sysctl -w net.ipv4.ip_forward=1",
    ),
    Check(
        "network",
        "forwarding allowed",
        Need.OPTIONAL,
        judgements.firewall,
        "another firewall (docker, ufw, firewalld) drops what it does not know, pods' packets too",
        "accept the bridge in it: iptables -I FORWARD -i minipod0 -j ACCEPT; iptables -I FORWARD -o minipod0 -j ACCEPT",
    ),
    Check(
        "network",
        "default route",
        Need.OPTIONAL,
        judgements.route,
        "pods reach the world",
        "none is needed on an island",
    ),
)
