"""stats/summary: what the node and its pods use, in the kubelet's Summary shape, as far as the kernel counts it.

Left out is what would have to be searched for: disk use by container and volume, accelerators, user-defined metrics.
https://kubernetes.io/docs/reference/config-api/kubelet-stats.v1alpha1/
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minipod.api import core_v1, timestamps
from minipod.kubelet.server.measure import CpuRates, GroupStats, measure
from minipod.kubelet.server.survey import PodUse, survey
from minipod.kubelet.services import Services
from minipod.linux import machine
from minipod.linux.cgroup2 import pressure
from minipod.linux.cgroup2.memory import MemoryStat
from minipod.linux.cgroup2.pressure import Pressure, Stall
from minipod.runtime.types import ContainerStatus

Json = dict[str, Any]

NODE = "/"
PODS = "pods"
"""The kubelet's name of the group of all pods among systemContainers."""


class Summaries:
    """Makes summaries; between two of them it remembers how much CPU time each group had used."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rates = CpuRates()

    def summary(self, pods: Iterable[core_v1.Pod]) -> Json:
        """Reads the cgroups: about a millisecond per pod and container."""
        used = list(survey(self._services, pods))
        self._rates.forget_all_but(
            [NODE, PODS, *(u.sandbox.uid for u in used), *(c.id for u in used for c, _ in u.containers)]
        )
        return {"node": self._node(), "pods": [self._pod(one) for one in used]}

    def _node(self) -> Json:
        settings = self._services.settings
        root = measure_machine(settings.cgroup_root)
        memory = machine.memory_use((machine.PROC / "meminfo").read_text())
        faults, major = machine.page_faults((machine.PROC / "vmstat").read_text())
        now = _time(root)
        most, tasks = machine.tasks()
        return {
            "nodeName": settings.node_name,
            "systemContainers": self._system_containers(settings.cgroup_root / settings.cgroup_parent),
            "startTime": timestamps.from_epoch_us(machine.boot_time() * 1_000_000),
            "cpu": self._cpu(NODE, root),
            "memory": {
                "time": now,
                "availableBytes": max(memory.total - memory.working_set, 0),
                "usageBytes": memory.used,
                "workingSetBytes": memory.working_set,
                "rssBytes": memory.anon,
                "pageFaults": faults,
                "majorPageFaults": major,
                **_psi(root, "memory"),
            },
            **_io(root),
            "network": _network(now, machine.interfaces_of("self")),
            "fs": _file_system(now, settings.data_dir),
            "runtime": {"imageFs": _file_system(now, settings.data_dir / "images")},
            "rlimit": {"time": now, "maxpid": most, "curproc": tasks},
            "swap": {
                "time": now,
                "swapAvailableBytes": memory.swap_total - memory.swap_used,
                "swapUsageBytes": memory.swap_used,
            },
        }

    def _system_containers(self, parent: Path) -> list[Json]:
        try:
            stats = measure(parent)
        except OSError:  # no pod has run yet
            return []
        return [{"name": PODS, **self._usage(PODS, stats)}]

    def _pod(self, used: PodUse) -> Json:
        meta, sandbox = used.pod.metadata, used.sandbox
        found = {
            "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "startTime": timestamps.from_epoch_us(sandbox.created_at),
            "containers": [self._container(status, stats) for status, stats in used.containers],
            **self._usage(sandbox.uid, used.stats),
            "process_stats": {"process_count": used.stats.processes},
        }
        if not used.pod.spec.hostNetwork and sandbox.infra_pid:
            found["network"] = _network(_time(used.stats), machine.interfaces_of(sandbox.infra_pid))
        return found

    def _container(self, status: ContainerStatus, stats: GroupStats) -> Json:
        return {
            "name": status.name,
            "startTime": timestamps.from_epoch_us(status.started_at),
            **self._usage(status.id, stats),
        }

    def _usage(self, key: str, stats: GroupStats) -> Json:
        found = {"cpu": self._cpu(key, stats), "memory": _memory(stats), **_io(stats)}
        if stats.memory is not None:
            found["swap"] = {"time": _time(stats), "swapUsageBytes": stats.memory.swap}
        return found

    def _cpu(self, key: str, stats: GroupStats) -> Json:
        used = stats.cpu.usage_us * 1000
        found: Json = {"time": _time(stats), "usageCoreNanoSeconds": used}
        rate = self._rates.nanocores(key, stats.at_ns, used)
        if rate is not None:
            found["usageNanoCores"] = rate
        return found | _psi(stats, "cpu")


def measure_machine(cgroup_root: Path) -> GroupStats:
    """The root group, whose pressure is the system's. It has no memory.current: /proc/meminfo has the machine's."""
    found = measure(cgroup_root)
    psi = {name: one for name in pressure.RESOURCES if (one := pressure.of_system(name))}
    return GroupStats(at_ns=found.at_ns, cpu=found.cpu, memory=None, resident=0, io=found.io, pressure=psi)


def _memory(stats: GroupStats) -> Json:
    found: Json = {"time": _time(stats), "workingSetBytes": stats.resident}
    if stats.memory is not None:
        found |= _counted(stats.memory)
    return found | _psi(stats, "memory")


def _counted(memory: MemoryStat) -> Json:
    found = {
        "usageBytes": memory.usage,
        "rssBytes": memory.anon,
        "pageFaults": memory.page_faults,
        "majorPageFaults": memory.major_page_faults,
    }
    if memory.limit is not None:
        found["availableBytes"] = max(memory.limit - memory.working_set, 0)
    return found


def _io(stats: GroupStats) -> Json:
    psi = _psi(stats, "io")
    return {"io": {"time": _time(stats), **psi}} if psi else {}


def _psi(stats: GroupStats, resource: str) -> Json:
    found = stats.pressure.get(resource)
    return {"psi": _pressure(found)} if found else {}


def _pressure(found: Pressure) -> Json:
    """`total` is microseconds, as the kernel has it and as the kubelet passes it on."""
    return {"full": _stall(found.full), "some": _stall(found.some)}


def _stall(stall: Stall) -> Json:
    return {"total": stall.total_us, "avg10": stall.avg10, "avg60": stall.avg60, "avg300": stall.avg300}


def _network(now: str, found: list[machine.Interface]) -> Json:
    """The first interface stands for all at the top, as in the kubelet's."""
    interfaces = [
        {
            "name": one.name,
            "rxBytes": one.rx_bytes,
            "rxErrors": one.rx_errors,
            "txBytes": one.tx_bytes,
            "txErrors": one.tx_errors,
        }
        for one in found
    ]
    return {"time": now, **(interfaces[0] if interfaces else {}), "interfaces": interfaces}


def _file_system(now: str, path: Path) -> Json | None:
    try:
        found = machine.file_system(path)
    except OSError:
        return None
    return {
        "time": now,
        "availableBytes": found.available,
        "capacityBytes": found.capacity,
        "usedBytes": found.used,
        "inodesFree": found.inodes_free,
        "inodes": found.inodes,
        "inodesUsed": found.inodes - found.inodes_free,
    }


def _time(stats: GroupStats) -> str:
    return timestamps.from_epoch_us(stats.at_ns // 1000)
