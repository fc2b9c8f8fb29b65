"""In-place resize on a real node. What the kernel enforces is the virtual machine's business; here is what is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minipod.api import codec, core_v1
from minipod.kubelet.settings import CgroupEnforcement
from minipod.linux.cgroup2 import cgroup
from tests.kernel.kubelet.node import FOREVER, Node, container, is_ready, main_status


def cpu(millis: int) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": f"{millis}m"}, "limits": {"cpu": f"{millis}m"}}}


async def resize(node: Node, name: str, millis: int) -> None:
    pod = codec.copy(await node.get(name))
    pod.spec.containers[0].resources = codec.from_builtins(
        core_v1.ResourceRequirements, cpu(millis)["resources"]
    )
    await node.update(pod, subresource="resize")


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
        pytest.skip("this host has the cpu controller")
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


async def test_a_resize_is_in_the_kernels_files(node: Node) -> None:
    needed = {"cpu", "memory"} - node.settings().host.controllers
    if needed:
        pytest.skip(f"cgroup2 has no {' and no '.join(sorted(needed))} controller here")
    small = {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
    large = {"requests": {"cpu": "200m", "memory": "64Mi"}, "limits": {"cpu": "400m", "memory": "128Mi"}}
    await node.create("web", container(resources=small))
    pod = await node.ready("web")
    sandbox = node.runtime.status(pod.metadata.uid or "")
    assert sandbox is not None
    pod_group = node.settings().cgroup_root / sandbox.cgroup
    group = pod_group / sandbox.containers[0].id

    def now(path: Path) -> tuple[str, str]:
        return cgroup.read(path, "cpu.max"), cgroup.read(path, "memory.max")

    assert now(group) == now(pod_group) == ("20000 100000", str(64 * 2**20))
    for wanted, expected in (
        (large, ("40000 100000", str(128 * 2**20))),
        (small, ("20000 100000", str(64 * 2**20))),
    ):
        changed = codec.copy(await node.get("web"))
        changed.spec.containers[0].resources = codec.from_builtins(core_v1.ResourceRequirements, wanted)
        await node.update(changed, subresource="resize")
        await node.wait("web", lambda p, w=wanted: main_status(p).resources.limits == w["limits"])  # type: ignore[misc]
        assert now(group) == now(pod_group) == expected
    assert main_status(await node.get("web")).restartCount == 0


async def test_a_memory_limit_below_what_is_in_use_is_not_written(node: Node) -> None:
    if "memory" not in node.settings().host.controllers:
        pytest.skip("cgroup2 has no memory controller here")
    script = "dd if=/dev/zero of=/dev/shm/held bs=1M count=40; echo held; " + FOREVER
    await node.create("web", container(script, resources={"limits": {"memory": "100Mi"}}))
    await node.ready("web")

    async def holds() -> bool:
        return "held" in await node.logs("web")

    await node.until(holds, "the container to use its memory")
    changed = codec.copy(await node.get("web"))
    limits = {"limits": {"memory": "20Mi"}, "requests": {"memory": "20Mi"}}
    changed.spec.containers[0].resources = codec.from_builtins(core_v1.ResourceRequirements, limits)
    await node.update(changed, subresource="resize")
    pod = await node.wait("web", lambda p: "PodResizeInProgress" in conditions(p))
    assert conditions(pod)["PodResizeInProgress"].reason == "Error"
    assert main_status(pod).state.running
