"""The Node object of this machine: built from what is known, written when something of it changes. No heartbeat.

https://kubernetes.io/docs/reference/node/node-status/
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from minipod import __version__
from minipod.api import codec, core_v1, meta_v1, timestamps
from minipod.api.errors import StatusError
from minipod.api.scheme import NODES
from minipod.client.interface import Client
from minipod.images.types import Image
from minipod.kubelet import node_resources
from minipod.kubelet.eviction.types import Pressure
from minipod.kubelet.settings import CgroupEnforcement, HostFacts, NodeSettings

log = logging.getLogger(__name__)

KUBERNETES_VERSION = "v1.37.0"
"""The release of Kubernetes whose object types this version speaks."""

MAX_IMAGES = 50
"""How many images the Node names, the largest first, as kubelet's nodeStatusMaxImages."""

CGROUP_CONDITION = "CgroupLimitsEnforced"

PRESSURE_WORDS = {
    Pressure.MEMORY: (
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available", "NodeHasSufficientMemory"),
        (
            "KubeletHasInsufficientMemory",
            "kubelet has insufficient memory available",
            "NodeHasInsufficientMemory",
        ),
    ),
    Pressure.DISK: (
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"),
        ("KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"),
    ),
    Pressure.PID: (
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"),
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID"),
    ),
}
"""Reason and message of each condition and the reason of its event, without and under pressure."""

READY_WORDS = (
    ("KubeletReady", "kubelet is posting ready status"),
    ("KubeletNotReady", "node is shutting down"),
)


def node_labels(host: HostFacts, node_name: str, more: dict[str, str]) -> dict[str, str]:
    """The well-known labels every kubelet gives its node, and the configured ones."""
    return {
        "kubernetes.io/hostname": node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": host.architecture,
        **more,
    }


def build_node(
    settings: NodeSettings,
    images: Iterable[Image],
    *,
    now: str,
    pressures: Collection[Pressure] = (),
    shutting_down: bool = False,
) -> core_v1.Node:
    """The Node as this kubelet wants it to be; `now` (RFC 3339) dates its conditions."""
    return core_v1.Node(
        metadata=meta_v1.ObjectMeta(name=settings.node_name, labels=dict(settings.labels)),
        spec=core_v1.NodeSpec(
            podCIDR=settings.pod_cidr or None, podCIDRs=[settings.pod_cidr] if settings.pod_cidr else []
        ),
        status=core_v1.NodeStatus(
            addresses=_addresses(settings),
            capacity=node_resources.texts(node_resources.capacity(settings)),
            allocatable=node_resources.texts(node_resources.allocatable(settings)),
            conditions=_conditions(settings, now, pressures, shutting_down=shutting_down),
            nodeInfo=_info(settings.host),
            images=_images(images),
        ),
    )


def pressure_events(before: Collection[Pressure], now: Collection[Pressure]) -> list[str]:
    """Reasons of the events that tell of what has changed."""
    return [PRESSURE_WORDS[p][p in now][2] for p in Pressure if (p in before) != (p in now)]


async def register_node(client: Client, settings: NodeSettings, images: Iterable[Image]) -> core_v1.Node:
    """Create this machine's Node, or bring the one that exists up to date. Raises StatusError."""
    wanted = build_node(settings, images, now=timestamps.now())
    try:
        found: core_v1.Node = await client.get(NODES, settings.node_name)
    except StatusError as error:
        if error.code != 404:
            raise
        found = await client.create(NODES, wanted)
    changed = codec.copy(found)
    changed.metadata.labels = {**found.metadata.labels, **wanted.metadata.labels}
    changed.spec.podCIDR, changed.spec.podCIDRs = wanted.spec.podCIDR, wanted.spec.podCIDRs
    if codec.encode(changed) != codec.encode(found):
        found = await client.update(NODES, changed)
    return await write_status(client, found, wanted.status)


async def write_status(client: Client, node: core_v1.Node, status: core_v1.NodeStatus) -> core_v1.Node:
    """Write the status, keeping the transition times of conditions that stay as they are. Raises StatusError."""
    before = {c.type: c for c in node.status.conditions}
    for condition in status.conditions:
        old = before.get(condition.type)
        if old is not None and old.status == condition.status:
            condition.lastTransitionTime = old.lastTransitionTime
    changed = codec.copy(node)
    changed.metadata.resourceVersion = None
    changed.status = status
    written: core_v1.Node = await client.update(NODES, changed, subresource="status")
    return written


def _addresses(settings: NodeSettings) -> list[core_v1.NodeAddress]:
    found = [core_v1.NodeAddress(type="InternalIP", address=settings.host_ip)] if settings.host_ip else []
    return [*found, core_v1.NodeAddress(type="Hostname", address=settings.node_name)]


def _info(host: HostFacts) -> core_v1.NodeSystemInfo:
    return core_v1.NodeSystemInfo(
        architecture=host.architecture,
        bootID=host.boot_id,
        containerRuntimeVersion=f"minipod://{__version__}",
        kernelVersion=host.kernel_version,
        kubeProxyVersion="",
        kubeletVersion=f"{KUBERNETES_VERSION}+minipod{__version__}",
        machineID=host.machine_id,
        operatingSystem="linux",
        osImage=host.os_image,
        systemUUID=host.system_uuid,
    )


def _conditions(
    settings: NodeSettings, now: str, pressures: Collection[Pressure], *, shutting_down: bool
) -> list[core_v1.NodeCondition]:
    def condition(type_: str, status: bool, reason: str, message: str) -> core_v1.NodeCondition:
        return core_v1.NodeCondition(
            type=type_,
            status="True" if status else "False",
            reason=reason,
            message=message,
            lastHeartbeatTime=now,
            lastTransitionTime=now,
        )

    return [
        *(condition(p, p in pressures, *PRESSURE_WORDS[p][p in pressures][:2]) for p in Pressure),
        condition("Ready", not shutting_down, *READY_WORDS[shutting_down]),
        condition(CGROUP_CONDITION, not settings.missing_controllers, *_cgroup_state(settings)),
    ]


def _cgroup_state(settings: NodeSettings) -> tuple[str, str]:
    missing = ", ".join(settings.missing_controllers)
    if not missing:
        return "CgroupControllersPresent", "this host offers every cgroup v2 controller that pods need"
    if settings.enforcement is CgroupEnforcement.STRICT:
        outcome = "pods that ask for them are refused (--cgroup-enforcement=strict)"
    else:
        outcome = "what they would limit is not enforced (--cgroup-enforcement=best-effort)"
    return "CgroupControllerMissing", f"this host lacks the cgroup v2 controllers {missing}: {outcome}"


def _images(images: Iterable[Image]) -> list[core_v1.ContainerImage]:
    largest = sorted(images, key=lambda image: image.size, reverse=True)[:MAX_IMAGES]
    return [core_v1.ContainerImage(names=list(image.names), sizeBytes=image.size) for image in largest]
