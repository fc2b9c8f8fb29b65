"""Nodes as `kubectl get nodes` shows them."""

from __future__ import annotations

from minipod.api import core_v1
from minipod.apiserver.table.columns import AGE, NAME, NONE, UNKNOWN, Cells, Column, TableRules, age

_ROLE_PREFIX = "node-role.kubernetes.io/"
_ROLE_LABEL = "kubernetes.io/role"

COLUMNS = (
    NAME,
    Column("Status", "Whether the node is ready, and takes new pods."),
    Column("Roles", "The node's roles, from its labels."),
    AGE,
    Column("Version", "The kubelet's version."),
    Column("Internal-IP", "The node's address.", 1),
    Column("External-IP", "The node's address as seen from outside.", 1),
    Column("OS-Image", "The operating system.", 1),
    Column("Kernel-Version", "The kernel.", 1),
    Column("Container-Runtime", "The container runtime and its version.", 1),
)


def cells(node: core_v1.Node, now_us: int) -> Cells:
    info = node.status.nodeInfo
    return [
        node.metadata.name or "",
        _status(node),
        ",".join(_roles(node)) or NONE,
        age(node, now_us),
        (info.kubeletVersion if info else "") or "",
        _address(node, "InternalIP"),
        _address(node, "ExternalIP"),
        (info.osImage if info else "") or UNKNOWN,
        (info.kernelVersion if info else "") or UNKNOWN,
        (info.containerRuntimeVersion if info else "") or UNKNOWN,
    ]


NODES_TABLE = TableRules(COLUMNS, cells)


def _status(node: core_v1.Node) -> str:
    ready = next((c for c in node.status.conditions if c.type == "Ready"), None)
    word = "Unknown" if ready is None else "Ready" if ready.status == "True" else "NotReady"
    return f"{word},SchedulingDisabled" if node.spec.unschedulable else word


def _roles(node: core_v1.Node) -> list[str]:
    roles = set()
    for key, value in node.metadata.labels.items():
        if key.startswith(_ROLE_PREFIX) and key != _ROLE_PREFIX:
            roles.add(key.removeprefix(_ROLE_PREFIX))
        elif key == _ROLE_LABEL and value:
            roles.add(value)
    return sorted(roles)


def _address(node: core_v1.Node, type_: str) -> str:
    return next((a.address for a in node.status.addresses if a.type == type_), NONE)
