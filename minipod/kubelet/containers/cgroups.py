"""The cgroup tree of pods and what is written into it: pure arithmetic from a Pod to cgroup v2 file contents.

    <parent>/pod<uid>/<container id>                Guaranteed pods
    <parent>/burstable/pod<uid>/<container id>
    <parent>/besteffort/pod<uid>/<container id>

https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/ and
https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from minipod.api import core_v1, pod_resources
from minipod.api.pod_resources import Amounts
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


def container_files(resources: core_v1.ResourceRequirements | None, host: HostFacts) -> dict[str, str]:
    """cgroup file -> value for one container, as far as the host has the controllers."""
    files = _files(
        requests=pod_resources.amounts(resources.requests if resources else {}),
        limits=pod_resources.amounts(resources.limits if resources else {}),
        host=host,
    )
    if "memory.max" in files:
        files["memory.oom.group"] = (
            "1"  # a container is killed as a whole, as the kubelet has it on cgroup v2
        )
    return files


def pod_files(pod: core_v1.Pod, host: HostFacts, *, pids_limit: int = 0) -> dict[str, str]:
    """cgroup file -> value for the pod's own cgroup. `pids_limit` 0: none."""
    files = _files(
        requests=pod_resources.amounts(pod_resources.pod_requests(pod)),
        limits=pod_resources.amounts(pod_resources.pod_ceilings(pod)),
        host=host,
    )
    if pids_limit > 0 and "pids" in host.controllers:
        files["pids.max"] = str(pids_limit)
    return files


def qos_weights(pods: Iterable[core_v1.Pod], host: HostFacts) -> dict[str, str]:
    """cpu.weight of the burstable and besteffort groups, so that they share CPU as their pods' requests say."""
    if "cpu" not in host.controllers:
        return {}
    burstable = sum(
        (
            pod_resources.amounts(pod_resources.pod_requests(pod)).get("cpu", Fraction(0))
            for pod in pods
            if pod_resources.qos_class(pod) == "Burstable"
        ),
        Fraction(0),
    )
    return {"burstable": cpu_weight(burstable), "besteffort": cpu_weight(0)}


def missing_controllers(pod: core_v1.Pod, host: HostFacts) -> list[Missing]:
    """Every controller that the pod's requests and limits need and the host lacks, once each."""
    wanted: dict[str, Missing] = {}
    for controller, field in _needs(pod):
        if controller not in host.controllers:
            wanted.setdefault(controller, Missing(controller, field))
    return list(wanted.values())


def _needs(pod: core_v1.Pod) -> Iterable[tuple[str, str]]:
    groups = (("initContainers", pod.spec.initContainers), ("containers", pod.spec.containers))
    owners = [(f"spec.{kind}[{i}]", c.resources) for kind, list_ in groups for i, c in enumerate(list_)]
    for path, resources in [("spec", pod.spec.resources), *owners]:
        if resources is None:
            continue
        if "cpu" in resources.limits:
            yield "cpu", f"{path}.resources.limits.cpu"
        if "cpu" in resources.requests:
            yield "cpu", f"{path}.resources.requests.cpu"
        if "memory" in resources.limits:
            yield "memory", f"{path}.resources.limits.memory"
        for name in resources.limits:
            if name.startswith(pod_resources.HUGE_PAGES):
                yield "hugetlb", f"{path}.resources.limits.{name}"


def _files(*, requests: Amounts, limits: Amounts, host: HostFacts) -> dict[str, str]:
    files: dict[str, str] = {}
    if "cpu" in host.controllers:
        files["cpu.weight"] = cpu_weight(requests.get("cpu") or limits.get("cpu") or 0)
        if limits.get("cpu"):
            files["cpu.max"] = cpu_max(limits["cpu"])
    if "memory" in host.controllers and limits.get("memory"):
        files["memory.max"] = str(math.ceil(limits["memory"]))
        files["memory.swap.max"] = "0"
    if "hugetlb" in host.controllers:
        for size in host.hugepages:
            amount = limits.get(pod_resources.HUGE_PAGES + size, 0)
            files[f"hugetlb.{hugetlb_name(size)}.max"] = str(int(amount))
    return files


def hugetlb_name(size: str) -> str:
    """Kubernetes' page size as the kernel's file names write it: "2Mi" -> "2MB"."""
    return size.removesuffix("i") + "B"
