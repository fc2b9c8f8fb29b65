"""In-place resize on a real node. What the kernel enforces is the virtual machine's business; here is what is asked."""

from __future__ import annotations

from typing import Any

from minipod.api import codec, core_v1
from minipod.api.scheme import PODS
from minipod.kubelet.settings import CgroupEnforcement
from tests.kernel.kubelet.node import Node, container, is_ready, main_status


def cpu(millis: int) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": f"{millis}m"}, "limits": {"cpu": f"{millis}m"}}}


async def resize(node: Node, name: str, millis: int) -> None:
    pod = codec.copy(await node.get(name))
    pod.spec.containers[0].resources = codec.from_builtins(
        core_v1.ResourceRequirements, cpu(millis)["resources"]
    )
    await node.client.update(PODS, pod, subresource="resize")


def shown(pod: core_v1.Pod) -> str | None:
    found: dict[str, str] = main_status(pod).resources.limits
    return found.get("cpu")


def conditions(pod: core_v1.Pod) -> dict[str, core_v1.PodCondition]:
    return {c.type: c for c in pod.status.conditions}


async def test_a_resize_in_place_touches_nothing_else(node: Node) -> None:
    await node.create("web", container(**cpu(100)))
    pod = await node.ready("web")
    assert shown(pod) == "100m"
    assert main_status(pod).allocatedResources == {"cpu": "100m"}
    await resize(node, "web", 200)
    after = await node.wait("web", lambda p: shown(p) == "200m")
    assert main_status(after).containerID == main_status(pod).containerID
    assert main_status(after).restartCount == 0
    assert not {"PodResizePending", "PodResizeInProgress"} & set(conditions(after))
    await node.event("web", "ResizeCompleted")
    await node.restart()
    after = await node.ready("web")
    assert shown(after) == "200m"


async def test_a_resize_by_restart(node: Node) -> None:
    policy = {"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}
    await node.create("web", container(**cpu(100), **policy))
    await node.ready("web")
    await resize(node, "web", 200)
    after = await node.wait("web", lambda p: main_status(p).restartCount == 1 and is_ready(p))
    assert shown(after) == "200m"
    killing = await node.event("web", "Killing")
    assert killing.message == "Container main resize requires restart"


async def test_a_resize_beyond_the_node_is_infeasible(node: Node) -> None:
    await node.create("web", container(**cpu(100)))
    await node.ready("web")
    await resize(node, "web", 10_000_000)
    pod = await node.wait("web", lambda p: "PodResizePending" in conditions(p))
    pending = conditions(pod)["PodResizePending"]
    assert (pending.status, pending.reason) == ("True", "Infeasible")
    assert shown(pod) == "100m"
    await resize(node, "web", 100)
    await node.wait("web", lambda p: "PodResizePending" not in conditions(p))


async def test_a_resize_that_cannot_be_enforced_here_is_refused_by_name(make_node: Any) -> None:
    node = await make_node(enforcement=CgroupEnforcement.BEST_EFFORT)
    if "cpu" in node.settings().host.controllers:
        return
    await node.create("web", container(**cpu(100)))
    await node.ready("web")
    await node.stop()
    node._changes["enforcement"] = CgroupEnforcement.STRICT
    await node.start()
    await resize(node, "web", 200)
    pod = await node.wait("web", lambda p: "PodResizePending" in conditions(p))
    pending = conditions(pod)["PodResizePending"]
    assert pending.reason == "Infeasible"
    assert "cpu" in (pending.message or "")
