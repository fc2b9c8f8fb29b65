"""Which sysctls a pod may set: namespaced ones only, and beyond the safe set only those the node's admin allows.

https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/
"""

from __future__ import annotations

from collections.abc import Iterable

from minipod.api import core_v1

SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    }
)

_IPC = ("kernel.shm", "kernel.msg", "fs.mqueue.")
"""Prefixes of sysctls that belong to the IPC namespace; kernel.sem is one without a family."""
_NET = ("net.",)


def normalize(name: str) -> str:
    """The name with dots as separators, as sysctl(8) reads it: net/ipv4/conf/eth0.1/x -> net.ipv4.conf.eth0/1.x."""
    first = next((c for c in name if c in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def forbidden_sysctl(pod: core_v1.Pod, name: str, allowed: Iterable[str]) -> str | None:
    """Why this pod may not set the sysctl on this node; None when it may.

    `allowed`: the admin's additions to the safe set; a final `*` matches any ending.
    """
    sysctl = normalize(name)
    namespace = _namespace(sysctl)
    if namespace == "ipc" and pod.spec.hostIPC:
        return f'forbidden sysctl: "{name}" not allowed with host ipc enabled'
    if namespace == "net" and pod.spec.hostNetwork:
        return f'forbidden sysctl: "{name}" not allowed with host net enabled'
    if sysctl in SAFE_SYSCTLS:
        return None
    if namespace and _is_path(sysctl) and any(_matches(sysctl, normalize(p)) for p in allowed):
        return None
    return f'forbidden sysctl: "{name}" not allowlisted'


def _namespace(sysctl: str) -> str:
    if sysctl == "kernel.sem" or sysctl.startswith(_IPC):
        return "ipc"
    return "net" if sysctl.startswith(_NET) else ""


def _is_path(sysctl: str) -> bool:
    """Whether the name stays where it says it is: below /proc/sys a dot is a slash and a slash a dot."""
    path = sysctl.translate(str.maketrans("./", "/."))
    return all(part not in ("", ".", "..") for part in path.split("/"))


def _matches(sysctl: str, pattern: str) -> bool:
    return sysctl.startswith(pattern[:-1]) if pattern.endswith("*") else sysctl == pattern
