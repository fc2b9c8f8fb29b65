"""The cgroup tree of pods and what is written into it: pure arithmetic from a Pod to cgroup v2 file contents.

    <parent>/pod<uid>/<container id>                Guaranteed pods
    <parent>/burstable/pod<uid>/<container id>
    <parent>/besteffort/pod<uid>/<container id>

Here are pods and containers; node_groups.py has the levels above. docs/limits.md says where each value comes from.
https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/ and
https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from minipod.api import core_v1, pod_resources, priorities
from minipod.api.pod_resources import CPU, MEMORY, Amounts
from minipod.kubelet.containers.io_limits import asks_for_io
from minipod.kubelet.containers.limit_policy import LimitPolicy
from minipod.kubelet.containers.memory_files import memory_files
from minipod.kubelet.pod_names import AnyContainer
from minipod.kubelet.settings import HostFacts

CPU_PERIOD_US = 100_000
MIN_CPU_QUOTA_US = 1_000
MIN_CPU_SHARES, MAX_CPU_SHARES = 2, 262_144

QOS_GROUPS = {"Guaranteed": "", "Burstable": "burstable", "BestEffort": "besteffort"}
"""QoS class -> the cgroup between the parent and its pods."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A cgroup controller a pod needs and this host does not have, with what asked for it."""

    controller: str
    field: str

    def __str__(self) -> str:
        return (
            f"{self.field} needs the cgroup v2 controller {self.controller}, which this host does not offer"
        )


def pod_cgroup(parent: str, pod: core_v1.Pod) -> str:
    """The pod's cgroup, relative to the cgroup2 mount."""
    level = QOS_GROUPS[pod_resources.qos_class(pod)]
    return "/".join(part for part in (parent, level, f"pod{pod.metadata.uid}") if part)


def cpu_weight(cores: Fraction | int) -> str:
    """cpu.weight for a CPU request: one core is 100, no request is 1.

    The curve through (2 shares, 1), (1024, 100), (262144, 10000) that runc 1.3.2 and crun 1.23 use:
    https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/2254-cgroup-v2
    """
    shares = min(max(int(cores * 1024), MIN_CPU_SHARES), MAX_CPU_SHARES)
    exponent = math.log2(shares)
    return str(min(math.ceil(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34)), 10_000))


def cpu_max(cores: Fraction | int) -> str:
    """cpu.max for a CPU limit: "QUOTA PERIOD" in µs."""
    return f"{max(math.ceil(cores * CPU_PERIOD_US), MIN_CPU_QUOTA_US)} {CPU_PERIOD_US}"


def container_files(
    pod: core_v1.Pod,
    container: AnyContainer,
    host: HostFacts,
    policy: LimitPolicy,
    *,
    resources: core_v1.ResourceRequirements | None = None,
) -> dict[str, str]:
    """cgroup file -> value for one container, as far as the host has the controllers.

    `resources`: what it is given instead of what its spec asks for. A limit that only the pod has is the container's
    own as well, as the kubelet has it: the container's own files then tell its process what it may use.
    """
    given = resources or container.resources or core_v1.ResourceRequirements()
    requests = pod_resources.amounts(given.requests)
    limits = {**_pod_limits(pod), **_positive(pod_resources.amounts(given.limits))}
    files = _cpu(requests, limits, host) | _hugetlb(limits, host)
    if MEMORY in host.controllers:
        files |= memory_files(
            request=math.ceil(requests.get(MEMORY, 0)),
            limit=math.ceil(limits.get(MEMORY, 0)),
            swap=_may_swap(pod),
            capacity=host.memory_capacity,
            policy=policy,
        )
    return files


def pod_files(
    pod: core_v1.Pod, host: HostFacts, *, pids_limit: int = 0, policy: LimitPolicy | None = None
) -> dict[str, str]:
    """cgroup file -> value for the pod's own cgroup. `pids_limit` 0: none."""
    requests = pod_resources.amounts(pod_resources.pod_requests(pod))
    limits = pod_resources.amounts(pod_resources.pod_ceilings(pod))
    # A container that does not ask for huge pages may have none, so that the sum is a limit in any case.
    pages = pod_resources.amounts(pod_resources.pod_limits(pod))
    files = _cpu(requests, limits, host) | _hugetlb(pages, host)
    if MEMORY in host.controllers:
        if limits.get(MEMORY):
            files["memory.max"] = str(math.ceil(limits[MEMORY]))
        if policy and policy.memory_qos and requests.get(MEMORY):
            files["memory.min"] = str(math.ceil(requests[MEMORY]))
    if pids_limit > 0 and "pids" in host.controllers:
        files["pids.max"] = str(pids_limit)
    return files


def missing_controllers(pod: core_v1.Pod, host: HostFacts) -> list[Missing]:
    """Every controller that the pod's requests and limits need and the host lacks, once each."""
    wanted: dict[str, Missing] = {}
    for controller, field in _needs(pod):
        if controller not in host.controllers:
            wanted.setdefault(controller, Missing(controller, field))
    return list(wanted.values())


def hugetlb_name(size: str) -> str:
    """Kubernetes' page size as the kernel's file names write it: "2Mi" -> "2MB"."""
    return size.removesuffix("i") + "B"


def _needs(pod: core_v1.Pod) -> Iterable[tuple[str, str]]:
    groups = (("initContainers", pod.spec.initContainers), ("containers", pod.spec.containers))
    owners = [(f"spec.{kind}[{i}]", c.resources) for kind, list_ in groups for i, c in enumerate(list_)]
    for path, resources in [("spec", pod.spec.resources), *owners]:
        if resources is None:
            continue
        if CPU in resources.limits:
            yield CPU, f"{path}.resources.limits.cpu"
        if CPU in resources.requests:
            yield CPU, f"{path}.resources.requests.cpu"
        if MEMORY in resources.limits:
            yield MEMORY, f"{path}.resources.limits.memory"
        for name in resources.limits:
            if name.startswith(pod_resources.HUGE_PAGES):
                yield "hugetlb", f"{path}.resources.limits.{name}"
    if annotation := asks_for_io(pod):
        yield "io", f"metadata.annotations[{annotation}]"


def _cpu(requests: Amounts, limits: Amounts, host: HostFacts) -> dict[str, str]:
    if CPU not in host.controllers:
        return {}
    asked = requests[CPU] if CPU in requests else limits.get(CPU, Fraction(0))
    files = {"cpu.weight": cpu_weight(asked)}
    if limits.get(CPU):
        files["cpu.max"] = cpu_max(limits[CPU])
    return files


def _hugetlb(limits: Amounts, host: HostFacts) -> dict[str, str]:
    """Both limits of every page size there is: use, and reservation, by which mmap fails instead of SIGBUS later."""
    files = {}
    if "hugetlb" in host.controllers:
        for size in host.hugepages:
            amount = str(int(limits.get(pod_resources.HUGE_PAGES + size, 0)))
            for kind in ("max", "rsvd.max"):
                files[f"hugetlb.{hugetlb_name(size)}.{kind}"] = amount
    return files


def _pod_limits(pod: core_v1.Pod) -> Amounts:
    """The pod-level limits of what containers can be given one by one."""
    own = pod_resources.amounts(pod.spec.resources.limits) if pod.spec.resources else {}
    return _positive({name: amount for name, amount in own.items() if pod_resources.is_pod_level(name)})


def _positive(found: Amounts) -> Amounts:
    return {name: amount for name, amount in found.items() if amount > 0}


def _may_swap(pod: core_v1.Pod) -> bool:
    """KEP-2400: Burstable pods that are not critical; see memory_files for what a container must ask for."""
    return pod_resources.qos_class(pod) == "Burstable" and not priorities.is_critical(pod)
