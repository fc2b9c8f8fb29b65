"""What is done to a pod that goes on: containers restarted on request, ephemeral containers added."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import codec, core_v1
from minipod.api.errors import StatusError
from tests.kernel.kubelet.node import FOREVER, Node, container, main_status


def status_of(pod: core_v1.Pod, name: str) -> core_v1.ContainerStatus | None:
    status = pod.status
    every = (*status.initContainerStatuses, *status.containerStatuses, *status.ephemeralContainerStatuses)
    return next((one for one in every if one.name == name), None)


def id_of(pod: core_v1.Pod, name: str) -> str | None:
    status = status_of(pod, name)
    return status.containerID if status else None


async def test_a_restart_on_request_keeps_the_pod(node: Node) -> None:
    side = container(FOREVER, name="side", restartPolicy="Always")
    await node.create("web", container(FOREVER), initContainers=[side], restartPolicy="Never")
    before = await node.ready("web")
    answer = await node.proxy("POST", "pods/default/web/restart", container="main")
    assert answer["pod"]["uid"] == before.metadata.uid
    old = main_status(before).containerID
    assert answer["containers"] == [{"name": "main", "containerID": old}]
    after = await node.wait(
        "web", lambda p: main_status(p).containerID != old and main_status(p).state.running
    )
    assert (after.status.podIP, main_status(after).restartCount) == (before.status.podIP, 1)
    assert id_of(after, "side") == id_of(before, "side")
    everything = await node.proxy("POST", "pods/default/web/restart")
    assert [one["name"] for one in everything["containers"]] == ["side", "main"]
    ids = {one["name"]: one["containerID"] for one in everything["containers"]}

    def renewed(pod: core_v1.Pod) -> bool:
        found = {name: status_of(pod, name) for name in ids}
        return all(s and s.containerID != ids[n] and s.state and s.state.running for n, s in found.items())

    await node.wait("web", renewed, "to run anew")
    with pytest.raises(StatusError, match="not valid for pod web"):
        await node.proxy("POST", "pods/default/web/restart", container="nobody")
    with pytest.raises(StatusError, match="not found"):
        await node.proxy("POST", "pods/default/nobody/restart")


async def test_an_ephemeral_container_looks_at_its_target(node: Node) -> None:
    await node.create("web", container(f"echo here >/mark; {FOREVER}"))
    await node.ready("web")
    script = "cat /proc/1/root/mark; cat /proc/1/cmdline | tr '\\0' ' '; exit 3"
    pod = await add(node, container(script, name="look", targetContainerName="main"))
    ended = await node.wait("web", lambda p: ended_status(p, "look") is not None)
    state = ended_status(ended, "look")
    assert state is not None
    assert (state.exitCode, ended.status.phase, ended.metadata.generation) == (3, "Running", 2)
    said = await node.logs("web", container="look")
    assert said.startswith("here\n")
    assert "echo here" in said
    assert pod.spec.ephemeralContainers[0].name == "look"


async def test_exec_goes_into_an_ephemeral_container(node: Node) -> None:
    await node.create("web", container(FOREVER))
    await node.ready("web")
    await add(node, container(FOREVER, name="look", env=[{"name": "WHO", "value": "me"}]))

    def runs(pod: core_v1.Pod) -> bool:
        status = status_of(pod, "look")
        return bool(status and status.state and status.state.running)

    await node.wait("web", runs, "to have its ephemeral container run")
    assert await node.exec("web", "sh", "-c", "echo $WHO", container="look", stdout=True) == (0, "me\n")


def ended_status(pod: core_v1.Pod, name: str) -> core_v1.ContainerStateTerminated | None:
    status = status_of(pod, name)
    return status.state.terminated if status and status.state else None


async def add(node: Node, wanted: dict[str, Any]) -> core_v1.Pod:
    pod = codec.copy(await node.get("web"))
    pod.spec.ephemeralContainers.append(codec.from_builtins(core_v1.EphemeralContainer, wanted))
    added: core_v1.Pod = await node.update(pod, subresource="ephemeralcontainers")
    return added
