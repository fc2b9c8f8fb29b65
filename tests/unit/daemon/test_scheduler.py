"""Where a pod may go: filters, the message when it fits nowhere, and who is waiting at all."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import core_v1, meta_v1
from minipod.scheduler import OnNode, choose_node, takes_room, waits_for_node


def make_node(
    name: str = "n1",
    *,
    labels: dict[str, str] | None = None,
    pods: str = "10",
    has: dict[str, str] | None = None,
    pressure: str = "",
    **spec: Any,
) -> core_v1.Node:
    conditions = [core_v1.NodeCondition(type=pressure, status="True")] if pressure else []
    return core_v1.Node(
        metadata=meta_v1.ObjectMeta(name=name, labels=labels or {}),
        spec=core_v1.NodeSpec(**spec),
        status=core_v1.NodeStatus(allocatable={"pods": pods, **(has or {})}, conditions=conditions),
    )


def there(*pods: core_v1.Pod) -> dict[str, OnNode]:
    found = OnNode()
    for pod in pods:
        found.add(pod)
    return {"n1": found}


def asking(**requests: str) -> core_v1.Pod:
    pod = make_pod()
    pod.spec.containers[0].resources = core_v1.ResourceRequirements(requests=dict(requests))
    return pod


def make_pod(*ports: tuple[str, int, str], **spec: Any) -> core_v1.Pod:
    container = core_v1.Container(
        name="c",
        ports=[
            core_v1.ContainerPort(containerPort=80, protocol=p, hostPort=n, hostIP=ip) for p, n, ip in ports
        ],
    )
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name="p"), spec=core_v1.PodSpec(containers=[container], **spec)
    )


def test_a_pod_that_fits_goes_to_the_node() -> None:
    assert choose_node(make_pod(), [make_node()], {}) == ("n1", "")


def test_without_nodes_nothing_can_be_scheduled() -> None:
    assert choose_node(make_pod(), [], {}) == ("", "no nodes available to schedule pods")


def test_reasons_are_counted_over_the_nodes() -> None:
    pod = make_pod(nodeSelector={"disk": "ssd"})
    nodes = [
        make_node("a"),
        make_node("b", labels={"disk": "hdd"}),
        make_node("c", labels={"disk": "ssd"}, unschedulable=True),
    ]
    name, message = choose_node(pod, nodes, {})
    assert name == ""
    assert message == (
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector."
    )


@pytest.mark.parametrize(
    ("wanted", "taken", "fits"),
    [
        (("TCP", 80, ""), ("TCP", 80, ""), False),
        (("TCP", 80, ""), ("UDP", 80, ""), True),
        (("TCP", 80, ""), ("TCP", 81, ""), True),
        (("TCP", 80, "10.0.0.1"), ("TCP", 80, "10.0.0.2"), True),
        (("TCP", 80, "10.0.0.1"), ("TCP", 80, ""), False),
        (("TCP", 80, "0.0.0.0"), ("TCP", 80, "10.0.0.2"), False),
    ],
)
def test_host_ports_collide_by_protocol_port_and_address(
    wanted: tuple[str, int, str], taken: tuple[str, int, str], fits: bool
) -> None:
    name, message = choose_node(make_pod(wanted), [make_node()], there(make_pod(taken)))
    assert (name == "n1") is fits
    assert fits or "didn't have free ports for the requested pod ports" in message


def test_a_full_node_takes_no_more() -> None:
    name, message = choose_node(make_pod(), [make_node(pods="1")], there(make_pod()))
    assert (name, message) == ("", "0/1 nodes are available: 1 Too many pods.")


@pytest.mark.parametrize(
    ("asked", "others", "reasons"),
    [
        ({"cpu": "1"}, [], ""),
        ({"cpu": "2"}, [], "1 Insufficient cpu"),
        ({"cpu": "600m"}, [{"cpu": "500m"}], "1 Insufficient cpu"),
        ({"cpu": "500m"}, [{"cpu": "500m"}], ""),
        ({"cpu": "2", "memory": "2Gi"}, [], "1 Insufficient cpu, 1 Insufficient memory"),
        ({"ephemeral-storage": "1Gi"}, [], "1 Insufficient ephemeral-storage"),
        ({"hugepages-2Mi": "2Mi"}, [], "1 Insufficient hugepages-2Mi"),
    ],
)
def test_requests_have_to_fit(asked: dict[str, str], others: list[dict[str, str]], reasons: str) -> None:
    node = make_node(has={"cpu": "1", "memory": "1Gi"})
    expected = f"0/1 nodes are available: {reasons}." if reasons else ""
    found = choose_node(asking(**asked), [node], there(*(asking(**one) for one in others)))
    assert found == ("" if reasons else "n1", expected)


@pytest.mark.parametrize(
    ("pressure", "pod", "fits"),
    [
        ("MemoryPressure", make_pod(), False),
        ("MemoryPressure", asking(memory="1Mi"), True),
        ("MemoryPressure", make_pod(tolerations=[core_v1.Toleration(operator="Exists")]), True),
        ("DiskPressure", asking(memory="1Mi"), False),
        ("PIDPressure", asking(memory="1Mi"), False),
        ("Ready", make_pod(), True),
    ],
)
def test_pressure_keeps_new_pods_away(pressure: str, pod: core_v1.Pod, fits: bool) -> None:
    node = make_node(has={"memory": "1Gi"}, pressure=pressure)
    message = "" if fits else "0/1 nodes are available: 1 node(s) had untolerated taint(s)."
    assert choose_node(pod, [node], {}) == ("n1" if fits else "", message)


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        ({}, True),
        ({"nodeName": "n1"}, False),
        ({"schedulerName": "other"}, False),
        ({"schedulingGates": [core_v1.PodSchedulingGate(name="x")]}, False),
    ],
)
def test_who_waits_for_a_node(change: dict[str, Any], waits: bool) -> None:
    assert waits_for_node(make_pod(**change)) is waits


def test_the_ending_and_the_ended_do_not_wait() -> None:
    ending = make_pod()
    ending.metadata.deletionTimestamp = "2026-01-01T00:00:00Z"
    ended = make_pod()
    ended.status.phase = "Succeeded"
    assert not waits_for_node(ending)
    assert not waits_for_node(ended)
    assert not takes_room(ended)
