"""The Node object."""

from __future__ import annotations

from minipod.api import codec, core_v1
from minipod.kubelet.node_status import build_node, node_labels
from minipod.kubelet.settings import CgroupEnforcement
from tests.unit.kubelet.pods import host, image, settings

T0 = "2026-01-01T00:00:00Z"


def conditions(node: core_v1.Node) -> dict[str, core_v1.NodeCondition]:
    return {c.type: c for c in node.status.conditions}


def test_a_node_says_what_it_is_and_has() -> None:
    machine = host(
        hugepages={"2Mi": 1 << 30}, ephemeral_storage=1 << 40, kernel_version="6.18", os_image="Debian"
    )
    node = build_node(settings(host=machine, pod_cidr="10.0.0.0/16"), [image()], now=T0)
    assert node.metadata.name == "node1"
    assert node.status.allocatable == {**node.status.capacity, "memory": "7340032Ki"}  # huge pages are taken
    assert node.status.capacity == {
        "cpu": "2",
        "memory": "8388608Ki",
        "pods": "110",
        "ephemeral-storage": "1073741824Ki",
        "hugepages-2Mi": "1Gi",
    }
    assert [(a.type, a.address) for a in node.status.addresses] == [
        ("InternalIP", "192.0.2.1"),
        ("Hostname", "node1"),
    ]
    assert node.spec.podCIDR == "10.0.0.0/16"
    assert node.status.nodeInfo is not None
    assert node.status.nodeInfo.containerRuntimeVersion.startswith("minipod://")
    assert node.status.images == [
        core_v1.ContainerImage(names=["docker.io/minipod/base:latest"], sizeBytes=1)
    ]
    assert codec.decode(core_v1.Node, codec.encode(node)) == node


def test_a_ready_node_without_pressure() -> None:
    found = conditions(build_node(settings(), [], now=T0))
    assert found["Ready"].status == "True"
    assert all(found[f"{what}Pressure"].status == "False" for what in ("Memory", "Disk", "PID"))
    assert found["CgroupLimitsEnforced"].status == "True"


def test_missing_controllers_are_a_condition_of_the_node() -> None:
    bare = host(controllers=frozenset({"hugetlb"}))
    strict = conditions(build_node(settings(host=bare), [], now=T0))["CgroupLimitsEnforced"]
    assert strict.status == "False"
    assert "cpu, memory, pids" in (strict.message or "")
    assert "refused" in (strict.message or "")
    lenient = settings(host=bare, enforcement=CgroupEnforcement.BEST_EFFORT)
    message = conditions(build_node(lenient, [], now=T0))["CgroupLimitsEnforced"].message
    assert "not enforced" in (message or "")


def test_labels() -> None:
    assert node_labels(host(), "n", {"disk": "ssd"}) == {
        "kubernetes.io/hostname": "n",
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "disk": "ssd",
    }
