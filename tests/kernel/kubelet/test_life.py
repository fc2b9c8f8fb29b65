"""Pods on a real node, from creation to deletion."""

from __future__ import annotations

from tests.kernel.kubelet.node import Node, container, main_status


async def test_a_pod_becomes_ready_and_goes(node: Node) -> None:
    await node.create("web")
    pod = await node.ready("web")
    assert pod.status.phase == "Running"
    assert pod.status.podIP
    await node.delete("web")
    await node.gone("web")


async def test_a_pod_that_ends_keeps_its_logs(node: Node) -> None:
    await node.create("once", container("echo hello; exit 3"), restartPolicy="Never")
    pod = await node.phase("once", "Failed")
    assert main_status(pod).state.terminated.exitCode == 3
    assert await node.logs("once") == "hello\n"
