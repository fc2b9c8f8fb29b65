"""The cgroups above pods: that of all pods together, and those of the QoS classes. Pure arithmetic.

    <parent>                held to what the node can give: capacity less systemReserved and kubeReserved
    <parent>/burstable      CPU by the sum of what its pods request
    <parent>/besteffort     the least CPU there is

https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/ and the kubelet's pkg/kubelet/cm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from minipod.api import core_v1, pod_resources
from minipod.api.pod_resources import CPU, HUGE_PAGES, MEMORY, Amounts
from minipod.kubelet.containers.cgroups import QOS_GROUPS, cpu_weight, hugetlb_name
from minipod.kubelet.containers.limit_policy import LimitPolicy
from minipod.kubelet.settings import HostFacts

PIDS = "pid"
"""The resource name of process ids in systemReserved and kubeReserved."""


def node_files(allocatable: Amounts, host: HostFacts) -> dict[str, str]:
    """cgroup file -> value of the group of all pods. `allocatable`: capacity less what is reserved, by resource."""
    files: dict[str, str] = {}
    if CPU in host.controllers and CPU in allocatable:
        files["cpu.weight"] = cpu_weight(allocatable[CPU])
    if MEMORY in host.controllers and MEMORY in allocatable:
        files["memory.max"] = str(math.floor(allocatable[MEMORY]))
    if "pids" in host.controllers and PIDS in allocatable:
        files["pids.max"] = str(math.floor(allocatable[PIDS]))
    if "hugetlb" in host.controllers:
        for name, amount in allocatable.items():
            if name.startswith(HUGE_PAGES):
                files[f"hugetlb.{hugetlb_name(name.removeprefix(HUGE_PAGES))}.max"] = str(math.floor(amount))
    return files


@dataclass(frozen=True, slots=True)
class Share:
    """What one pod adds to the group above it. It changes only with the Pod's generation."""

    group: str
    """"" is the group of all pods."""
    requests: Amounts


def share_of(pod: core_v1.Pod) -> Share:
    """Some tenths of a millisecond: to be asked once for each pod, not at every change of any."""
    requests = pod_resources.amounts(pod_resources.pod_requests(pod))
    return Share(QOS_GROUPS[pod_resources.qos_class(pod)], requests)


def qos_files(shares: Iterable[Share], host: HostFacts, policy: LimitPolicy) -> dict[str, dict[str, str]]:
    """Group below the parent ("" is the parent itself) -> cgroup file -> value, from what its pods request.

    With memory QoS the memory that pods request is protected on every level above them: without that the kernel
    would not heed what the pods' own groups say.
    """
    sums: dict[str, Amounts] = {name: {} for name in QOS_GROUPS.values()}
    for share in shares:
        level = sums[share.group]
        for name, amount in share.requests.items():
            level[name] = level.get(name, Fraction(0)) + amount
    files: dict[str, dict[str, str]] = {"": {}, "burstable": {}, "besteffort": {}}
    if CPU in host.controllers:
        files["burstable"]["cpu.weight"] = cpu_weight(sums["burstable"].get(CPU, 0))
        files["besteffort"]["cpu.weight"] = cpu_weight(0)
    if MEMORY in host.controllers and policy.memory_qos:
        burstable = math.ceil(sums["burstable"].get(MEMORY, 0))
        files["burstable"]["memory.min"] = str(burstable)
        files[""]["memory.min"] = str(math.ceil(sums[""].get(MEMORY, 0)) + burstable)
    return files
