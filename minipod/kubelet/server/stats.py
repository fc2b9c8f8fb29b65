"""stats/summary: what the node and its pods use, in the kubelet's Summary shape, as far as the kernel counts it.

https://kubernetes.io/docs/reference/instrumentation/node-metrics/#summary-api-source
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minipod.api import core_v1, timestamps
from minipod.kubelet.server import cgroup_view
from minipod.kubelet.services import Services
from minipod.runtime.types import ContainerState, SandboxStatus


def summary(services: Services, pods: Iterable[core_v1.Pod]) -> dict[str, Any]:
    """Reads the cgroups: some milliseconds per pod."""
    settings = services.settings
    return {
        "node": {
            "nodeName": settings.node_name,
            **_stats(settings.cgroup_root / settings.cgroup_parent),
        },
        "pods": [
            _pod(pod, sandbox, settings.cgroup_root)
            for pod in pods
            if (sandbox := services.runtime.status(pod.metadata.uid or "")) is not None
        ],
    }


def _pod(pod: core_v1.Pod, sandbox: SandboxStatus, root: Path) -> dict[str, Any]:
    group = root / sandbox.cgroup
    meta = pod.metadata
    return {
        "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
        "startTime": timestamps.from_epoch_us(sandbox.created_at),
        "containers": [
            {"name": c.name, "startTime": timestamps.from_epoch_us(c.started_at), **_stats(group / c.id)}
            for c in sandbox.containers
            if c.state is ContainerState.RUNNING
        ],
        **_stats(group),
    }


def _stats(group: Path) -> dict[str, Any]:
    now = timestamps.now()
    used = cgroup_view.usage(group)
    return {
        "cpu": {"time": now, "usageCoreNanoSeconds": used["cpuMicroseconds"] * 1000},
        "memory": {"time": now, "workingSetBytes": used["memoryBytes"]},
        "process_stats": {"process_count": used["pids"]},
    }
