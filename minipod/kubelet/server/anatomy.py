"""What a pod is made of, as data: processes, namespaces and who shares them, cgroups, network, layers, mounts.

`minipod anatomy` draws it. Everything is looked up in the kernel at the moment of asking.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minipod.api import core_v1
from minipod.images.types import Image
from minipod.kubelet.containers.container_config import PodContext, container_rootfs, log_path
from minipod.kubelet.pod_names import AnyContainer, all_containers
from minipod.kubelet.server import cgroup_view, proc
from minipod.kubelet.status.records import CONTAINER_ID_PREFIX, LABEL_IMAGE, LABEL_IMAGE_ID, LABEL_PROCESS
from minipod.kubelet.volumes.manager import plan_volumes
from minipod.kubelet.volumes.types import PodVolumes, VolumeError
from minipod.linux import capabilities
from minipod.network.types import Attachment
from minipod.runtime.types import ContainerStatus, SandboxStatus

MOST_PROCESSES = 500
"""Processes of a container that are described: how many there are is for the container to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """What is known of a pod without looking; `images` by ID."""

    pod: core_v1.Pod
    context: PodContext
    sandbox: SandboxStatus | None
    attachment: Attachment | None
    images: Mapping[str, Image]


def describe(facts: PodFacts) -> dict[str, Any]:
    """The anatomy. Reads /proc and the cgroups: some milliseconds, more with many processes."""
    pod, sandbox, settings = facts.pod, facts.sandbox, facts.context.settings
    meta = pod.metadata
    found: dict[str, Any] = {
        "pod": {
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
            "phase": pod.status.phase or "Pending",
            "qosClass": pod.status.qosClass or "",
        },
        "node": settings.node_name,
        "hostNamespaces": proc.namespaces("self"),
        "network": _network(facts),
        "volumes": [],
        "containers": [],
    }
    volumes = _volumes(facts)
    found["volumes"] = [
        {"name": v.name, "type": v.kind, "source": str(v.path)} for v in volumes.mounted.values()
    ]
    if sandbox is not None:
        found["shim"] = _process(sandbox.shim_pid)
        found["infra"] = _process(sandbox.infra_pid) | {"namespaces": proc.namespaces(sandbox.infra_pid)}
        found["cgroup"] = cgroup_view.describe(settings.cgroup_root / sandbox.cgroup)
        found["containers"] = [
            _container(facts, spec, status, volumes)
            for spec in all_containers(pod)
            if (status := _latest(sandbox, spec.name)) is not None
        ]
    return found


def _latest(sandbox: SandboxStatus, name: str) -> ContainerStatus | None:
    attempts = [c for c in sandbox.containers if c.name == name]
    return max(attempts, key=lambda c: c.attempt, default=None)


def _container(
    facts: PodFacts, spec: AnyContainer, status: ContainerStatus, volumes: PodVolumes
) -> dict[str, Any]:
    settings = facts.context.settings
    group = settings.cgroup_root / facts.context.cgroup / status.id
    process: dict[str, Any] = json.loads(status.labels.get(LABEL_PROCESS, "{}"))
    user = process.get("user", {})
    effective, bounding = _capabilities(status.pid, process)
    image = facts.images.get(status.labels.get(LABEL_IMAGE_ID, ""))
    rootfs = container_rootfs(facts.context, status.name, status.attempt, image) if image else None
    pids = sorted(cgroup_view.processes(group))
    is_init = any(c.name == spec.name for c in facts.pod.spec.initContainers)
    return {
        "name": status.name,
        "kind": "initContainer" if is_init else "container",
        "id": CONTAINER_ID_PREFIX + status.id,
        "image": status.labels.get(LABEL_IMAGE, ""),
        "state": status.state.value,
        "restartCount": status.attempt,
        "pid": status.pid,
        "user": f"{user.get('uid', 0)}:{user.get('gid', 0)}",
        "capabilities": effective,
        "boundingCapabilities": bounding,
        "namespaces": proc.namespaces(status.pid) if status.pid else {},
        "cgroup": cgroup_view.describe(group),
        "rootfs": {
            "layers": [str(layer) for layer in rootfs.lower] if rootfs else [],
            "upper": str(rootfs.upper) if rootfs else "",
            "work": str(rootfs.work) if rootfs else "",
        },
        "mounts": _mounts(spec, volumes),
        "logPath": str(log_path(facts.context, status.name, status.attempt)),
        "processes": _processes(pids),
        "processCount": len(pids),
    }


def _capabilities(pid: int, process: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Those that count and those that executing a file can give back: of the process if it runs, else as configured.

    Without ambient ones, execve leaves none to a user other than root (capabilities(7)).
    """
    held = proc.capability_sets(pid) if pid else None
    if held is not None:
        return capabilities.to_names(held[0]), capabilities.to_names(held[1])
    sets = process.get("capabilities", {})
    counting = "ambient" if process.get("user", {}).get("uid", 0) else "effective"
    return sets.get(counting, []), sets.get("bounding", [])


def _mounts(spec: AnyContainer, volumes: PodVolumes) -> list[dict[str, Any]]:
    found = []
    for mount in spec.volumeMounts:
        volume = volumes.mounted.get(mount.name)
        below = mount.subPath or mount.subPathExpr or ""
        source = str(volume.path / below) if volume else ""
        found.append(
            {
                "path": mount.mountPath,
                "source": source,
                "volume": mount.name,
                "readOnly": bool(mount.readOnly),
            }
        )
    return found


def _processes(pids: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "pid": info.pid,
            "parent": info.parent,
            "innerPid": info.inner_pid,
            "user": str(info.user),
            "state": info.state,
            "rssBytes": info.rss,
            "command": info.command,
        }
        for pid in pids[:MOST_PROCESSES]
        if (info := proc.process_info(pid)) is not None
    ]


def _process(pid: int) -> dict[str, Any]:
    info = proc.process_info(pid)
    return {"pid": pid, "command": info.command if info else "", "rssBytes": info.rss if info else 0}


def _network(facts: PodFacts) -> dict[str, Any]:
    if facts.pod.spec.hostNetwork:
        return {"hostNetwork": True, "ip": facts.context.settings.host_ip, "ports": []}
    attachment = facts.attachment
    if attachment is None:
        return {"hostNetwork": False, "ports": []}
    return {
        "hostNetwork": False,
        "ip": attachment.ip,
        "prefixLength": attachment.prefix_len,
        "gateway": attachment.gateway,
        "podInterface": attachment.interface,
        "hostInterface": attachment.host_interface,
        "bridge": attachment.bridge,
        "mac": attachment.mac,
        "mtu": attachment.mtu,
        "ports": [
            {
                "containerPort": port.container_port,
                "hostPort": port.host_port,
                "protocol": port.protocol,
                "hostIP": port.host_ip,
            }
            for port in attachment.host_ports
        ],
    }


def _volumes(facts: PodFacts) -> PodVolumes:
    try:
        return plan_volumes(facts.pod, facts.context.pod_dir, facts.context.settings)
    except VolumeError:
        return PodVolumes()
