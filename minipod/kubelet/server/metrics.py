"""metrics/resource and metrics/cadvisor: the kubelet's Prometheus pages under their usual names and labels.

Of cAdvisor's metrics there are those that the kernel counts per cgroup; nothing is searched for and nothing is kept.
https://kubernetes.io/docs/reference/instrumentation/metrics/ and
https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from minipod.api import core_v1
from minipod.kubelet.server.exposition import Family, page
from minipod.kubelet.server.measure import GroupStats, measure
from minipod.kubelet.server.stats import measure_machine
from minipod.kubelet.server.survey import PodUse, survey
from minipod.kubelet.services import Services
from minipod.kubelet.status.records import LABEL_IMAGE
from minipod.linux import machine

Labels = dict[str, str]
Value = Callable[[GroupStats], float | None]

MICROSECONDS = 1_000_000


def resource_page(services: Services, pods: Iterable[core_v1.Pod]) -> str:
    """What metrics-server and autoscalers read: CPU time and working set of node, pods and containers."""
    node = measure_machine(services.settings.cgroup_root)
    memory = machine.memory_use((machine.PROC / "meminfo").read_text())
    families = {name: Family(name, kind, about) for name, kind, about in _RESOURCE}
    at = node.at_ns // 1_000_000
    families["node_cpu_usage_seconds_total"].add(_cpu_seconds(node), at_ms=at)
    families["node_memory_working_set_bytes"].add(memory.working_set, at_ms=at)
    families["node_swap_usage_bytes"].add(memory.swap_used, at_ms=at)
    for used in survey(services, pods):
        _add_pod(families, used)
    families["resource_scrape_error"].add(0)
    return page(list(families.values()))


def cadvisor_page(services: Services, pods: Iterable[core_v1.Pod]) -> str:
    """Everything by cgroup: the machine ("/"), all pods, each pod, each container."""
    families = [(Family(name, kind, about), value) for name, kind, about, value in _CADVISOR]
    start = Family(
        "container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds."
    )
    oom = Family(
        "container_oom_events_total", "counter", "Count of out of memory events observed for the container"
    )
    for labels, stats, started in _groups(services, pods):
        at = stats.at_ns // 1_000_000
        for family, value in families:
            if (amount := value(stats)) is not None:
                family.add(amount, labels, at_ms=at)
        if started:
            start.add(started, labels, at_ms=at)
        if stats.memory is not None:
            oom.add(stats.oom_kills, labels, at_ms=at)
    return page([*(family for family, _ in families), oom, start])


def _add_pod(families: dict[str, Family], used: PodUse) -> None:
    pod = {"namespace": used.pod.metadata.namespace or "", "pod": used.pod.metadata.name or ""}
    for kind, labels, stats in (
        ("pod", pod, used.stats),
        *(("container", {"container": status.name, **pod}, stats) for status, stats in used.containers),
    ):
        at = stats.at_ns // 1_000_000
        families[f"{kind}_cpu_usage_seconds_total"].add(_cpu_seconds(stats), labels, at_ms=at)
        families[f"{kind}_memory_working_set_bytes"].add(stats.resident, labels, at_ms=at)
        if stats.memory is not None:
            families[f"{kind}_swap_usage_bytes"].add(stats.memory.swap, labels, at_ms=at)
    for status, stats in used.containers:
        families["container_start_time_seconds"].add(
            status.started_at / MICROSECONDS,
            {"container": status.name, **pod},
            at_ms=stats.at_ns // 1_000_000,
        )


def _groups(services: Services, pods: Iterable[core_v1.Pod]) -> Iterator[tuple[Labels, GroupStats, float]]:
    """(labels, stats, start in seconds or 0); container, image and name are empty where there is none, as usual."""
    settings = services.settings

    def labels(
        id_: str, *, container: str = "", image: str = "", name: str = "", pod: Labels | None = None
    ) -> Labels:
        of = pod or {"namespace": "", "pod": ""}
        return {"container": container, "id": id_, "image": image, "name": name, **of}

    yield labels("/"), measure_machine(settings.cgroup_root), float(machine.boot_time())
    parent = f"/{settings.cgroup_parent}"
    try:
        yield labels(parent), measure(settings.cgroup_root / settings.cgroup_parent), 0.0
    except OSError:
        return
    for used in survey(services, pods):
        pod = {"namespace": used.pod.metadata.namespace or "", "pod": used.pod.metadata.name or ""}
        group = f"/{used.sandbox.cgroup}"
        yield labels(group, pod=pod), used.stats, used.sandbox.created_at / MICROSECONDS
        for status, stats in used.containers:
            image = status.labels.get(LABEL_IMAGE, "")
            of_container = labels(
                f"{group}/{status.id}", container=status.name, image=image, name=status.id, pod=pod
            )
            yield of_container, stats, status.started_at / MICROSECONDS


def _cpu_seconds(stats: GroupStats) -> float:
    return stats.cpu.usage_us / MICROSECONDS


def _stalled(resource: str, kind: str) -> Value:
    """`kind`: some or full."""

    def value(stats: GroupStats) -> float | None:
        found = stats.pressure.get(resource)
        return getattr(found, kind).total_us / MICROSECONDS if found else None

    return value


def _in_memory(name: str) -> Value:
    return lambda stats: getattr(stats.memory, name) if stats.memory else None


def _on_disk(name: str) -> Value:
    return lambda stats: getattr(stats.io, name) if stats.io else None


_RESOURCE: tuple[tuple[str, Literal["counter", "gauge"], str], ...] = (
    (
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the container in core-seconds",
    ),
    ("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes"),
    ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds"),
    ("container_swap_usage_bytes", "gauge", "Current amount of the container swap usage in bytes"),
    ("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds"),
    ("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes"),
    ("node_swap_usage_bytes", "gauge", "Current swap usage of the node in bytes"),
    ("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds"),
    ("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes"),
    ("pod_swap_usage_bytes", "gauge", "Current amount of the pod swap usage in bytes"),
    (
        "resource_scrape_error",
        "gauge",
        "1 if there was an error while getting container metrics, 0 otherwise",
    ),
)

_CADVISOR: tuple[tuple[str, Literal["counter", "gauge"], str, Value], ...] = (
    (
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed in seconds.",
        _cpu_seconds,
    ),
    (
        "container_cpu_user_seconds_total",
        "counter",
        "Cumulative user cpu time consumed in seconds.",
        lambda stats: stats.cpu.user_us / MICROSECONDS,
    ),
    (
        "container_cpu_system_seconds_total",
        "counter",
        "Cumulative system cpu time consumed in seconds.",
        lambda stats: stats.cpu.system_us / MICROSECONDS,
    ),
    (
        "container_cpu_cfs_periods_total",
        "counter",
        "Number of elapsed enforcement period intervals.",
        lambda stats: stats.cpu.periods,
    ),
    (
        "container_cpu_cfs_throttled_periods_total",
        "counter",
        "Number of throttled period intervals.",
        lambda stats: stats.cpu.throttled_periods,
    ),
    (
        "container_cpu_cfs_throttled_seconds_total",
        "counter",
        "Total time duration the container has been throttled.",
        lambda stats: stats.cpu.throttled_us / MICROSECONDS,
    ),
    (
        "container_memory_usage_bytes",
        "gauge",
        "Current memory usage in bytes, including all memory.",
        _in_memory("usage"),
    ),
    (
        "container_memory_working_set_bytes",
        "gauge",
        "Current working set in bytes.",
        lambda stats: stats.resident,
    ),
    ("container_memory_rss", "gauge", "Size of RSS in bytes.", _in_memory("anon")),
    ("container_memory_cache", "gauge", "Number of bytes of page cache memory.", _in_memory("cache")),
    ("container_memory_swap", "gauge", "Container swap usage in bytes.", _in_memory("swap")),
    (
        "container_spec_memory_limit_bytes",
        "gauge",
        "Memory limit for the container.",
        lambda stats: (stats.memory.limit or 0) if stats.memory else None,
    ),
    ("container_fs_reads_bytes_total", "counter", "Cumulative count of bytes read", _on_disk("read_bytes")),
    (
        "container_fs_writes_bytes_total",
        "counter",
        "Cumulative count of bytes written",
        _on_disk("written_bytes"),
    ),
    ("container_fs_reads_total", "counter", "Cumulative count of reads completed", _on_disk("reads")),
    ("container_fs_writes_total", "counter", "Cumulative count of writes completed", _on_disk("writes")),
    (
        "container_processes",
        "gauge",
        "Number of processes running inside the container.",
        lambda stats: stats.processes,
    ),
    *(
        (
            f"container_pressure_{resource}_{word}_seconds_total",
            "counter",
            f"Total time duration {who} in the container have waited due to {what} congestion.",
            _stalled(resource, kind),
        )
        for resource, what in (("cpu", "CPU"), ("memory", "memory"), ("io", "IO"))
        for word, who, kind in (
            ("waiting", "tasks", "some"),
            ("stalled", "no tasks could make progress:all tasks", "full"),
        )
    ),
)
