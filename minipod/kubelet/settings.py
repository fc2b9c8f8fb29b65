"""What every decision of the kubelet may know about its node: identity, directories, numbers, what the host offers.

A value, made once by daemon.py from the configuration and from what it finds on the machine (host_facts.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from minipod.kubelet.backoff import BackOffPolicy
from minipod.kubelet.containers.limit_policy import LimitPolicy
from minipod.kubelet.eviction.types import EvictionSettings
from minipod.kubelet.gc.types import GcSettings


class CgroupEnforcement(StrEnum):
    """What becomes of a pod that asks for a limit whose cgroup controller this host lacks."""

    STRICT = "strict"
    BEST_EFFORT = "best-effort"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What the machine is and offers. Memory in bytes."""

    hostname: str
    cpu_capacity_millis: int
    memory_capacity: int
    controllers: frozenset[str]
    """cgroup2 controllers that pods can be given: {"cpu", "memory", "pids", "hugetlb", ...}."""
    capabilities: tuple[str, ...]
    """Capabilities this daemon has itself, as CAP_CHOWN, ...: more it cannot give away."""
    hugepages: Mapping[str, int] = field(default_factory=dict)
    """Page size as Kubernetes writes it ("2Mi") -> bytes set aside on this host; empty sizes left out."""
    lowest_oom_score: int = -1000
    """The lowest oom_score_adj that this daemon may give to a process."""
    ephemeral_storage: int = 0
    kernel_version: str = ""
    os_image: str = ""
    architecture: str = ""
    machine_id: str = ""
    boot_id: str = ""
    system_uuid: str = ""
    resolv_conf: Path = Path("/etc/resolv.conf")
    etc_hosts: Path = Path("/etc/hosts")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """The node's identity, directories and numbers. `cgroup_root` is the cgroup2 mount, `cgroup_parent` below it."""

    node_name: str
    host_ip: str
    data_dir: Path
    run_dir: Path
    log_dir: Path
    cgroup_root: Path
    cgroup_parent: str
    host: HostFacts
    enforcement: CgroupEnforcement = CgroupEnforcement.STRICT
    pod_cidr: str = ""
    max_pods: int = 110
    pod_pids_limit: int = 0
    """pids.max of every pod; 0: none."""
    system_reserved: Mapping[str, str] = field(default_factory=dict)
    """Quantities by resource name that are kept for the system: not allocatable."""
    kube_reserved: Mapping[str, str] = field(default_factory=dict)
    """The same, kept for minipod itself."""
    eviction: EvictionSettings = field(default_factory=EvictionSettings)
    gc: GcSettings = field(default_factory=GcSettings)
    limits: LimitPolicy = field(default_factory=LimitPolicy)
    cluster_domain: str = "cluster.local"
    cluster_dns: tuple[str, ...] = ()
    allowed_unsafe_sysctls: tuple[str, ...] = ()
    crash_loop: BackOffPolicy = field(default_factory=BackOffPolicy)
    image_retry: BackOffPolicy = field(default_factory=BackOffPolicy)
    post_start_timeout: float | None = None
    """Seconds after which a postStart hook has failed; None: as long as it takes."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The Node's labels, the well-known ones included."""

    @property
    def missing_controllers(self) -> tuple[str, ...]:
        """The controllers pods commonly need and this host does not have."""
        return tuple(c for c in ("cpu", "memory", "pids", "hugetlb") if c not in self.host.controllers)
