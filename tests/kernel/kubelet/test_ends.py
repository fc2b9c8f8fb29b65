"""How containers and pods end on a real node: messages, reasons, deadlines, restarts on request, deletion."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import codec, core_v1
from minipod.kubelet.server.container_lookup import container_status
from tests.kernel.kubelet.node import FOREVER, Node, container, is_ready, main_status


async def update(node: Node, name: str, change: Any) -> None:
    """As a client would: read, change, write."""
    pod = codec.copy(await node.get(name))
    change(pod)
    await node.update(pod)


async def message(node: Node, script: str, **fields: Any) -> Any:
    await node.create("once", container(script, **fields), restartPolicy="Never")
    pod = await node.wait("once", lambda p: p.status.phase in ("Succeeded", "Failed"))
    return main_status(pod).state.terminated.message


@pytest.mark.parametrize(
    ("script", "fields", "expected"),
    [
        ("echo all is lost > /dev/termination-log; exit 1", {}, "all is lost\n"),
        ("echo fine > /dev/termination-log", {}, "fine\n"),
        ("echo not in the log; exit 1", {}, None),
        ("echo last > /tmp/why; exit 1", {"terminationMessagePath": "/tmp/why"}, "last\n"),
        ("echo said; exit 1", {"terminationMessagePolicy": "FallbackToLogsOnError"}, "said\n"),
        ("echo said", {"terminationMessagePolicy": "FallbackToLogsOnError"}, None),
        (
            "echo said; echo written > /dev/termination-log; exit 1",
            {"terminationMessagePolicy": "FallbackToLogsOnError"},
            "written\n",
        ),
        (
            "echo mine > /dev/termination-log; exit 1",
            {"securityContext": {"runAsUser": 1000}},
            "mine\n",
        ),
    ],
)
async def test_termination_messages(
    node: Node, script: str, fields: dict[str, Any], expected: str | None
) -> None:
    assert await message(node, script, **fields) == expected


async def test_a_long_termination_message_keeps_its_end(node: Node) -> None:
    said = await message(node, "seq 1 10000 > /dev/termination-log; exit 1")
    assert len(said) == 4096
    assert said.endswith("9999\n10000\n")


async def test_a_termination_message_outlives_the_container_and_the_daemon(node: Node) -> None:
    await node.create(
        "web",
        container(
            "[ -e /v/again ] && "
            + f"{{ {FOREVER}; }}; touch /v/again; echo why > /dev/termination-log; exit 3",
            volumeMounts=[{"name": "v", "mountPath": "/v"}],
        ),
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    pod = await node.wait("web", lambda p: main_status(p).restartCount == 1 and is_ready(p))
    assert main_status(pod).lastState.terminated.message == "why\n"
    await node.restart()
    pod = await node.ready("web")
    assert main_status(pod).lastState.terminated.message == "why\n"


async def test_an_active_deadline_set_later(node: Node) -> None:
    await node.create("web", terminationGracePeriodSeconds=1)  # it may come before the shell obeys
    await node.ready("web")

    def limit(pod: core_v1.Pod) -> None:
        pod.spec.activeDeadlineSeconds = 1

    await update(node, "web", limit)
    pod = await node.phase("web", "Failed")
    assert pod.status.reason == "DeadlineExceeded"


async def test_a_finalizer_keeps_the_pod_in_the_api_but_not_its_processes(node: Node) -> None:
    await node.create("web")

    def hold(pod: core_v1.Pod) -> None:
        pod.metadata.finalizers = ["example.com/hold"]

    await node.ready("web")
    await update(node, "web", hold)
    await node.delete("web")
    pod = await node.wait("web", lambda p: p.metadata.deletionTimestamp)
    await node.until(lambda: node.runtime.status(pod.metadata.uid) is None, "its sandbox to go")
    assert (await node.get("web")).metadata.finalizers == ["example.com/hold"]
    await node.wait(
        "web", lambda p: p.metadata.deletionGracePeriodSeconds == 0, "to be done with by the node"
    )

    def release(pod: core_v1.Pod) -> None:
        pod.metadata.finalizers = []

    await update(node, "web", release)
    await node.gone("web")


async def test_an_image_changed_in_place_restarts_that_container_alone(node: Node) -> None:
    await node.images.build_rootfs(node.base_root(), "minipod/base:2")
    await node.create("web", container(name="a"), container(name="b"))
    await node.ready("web")

    def other_image(pod: core_v1.Pod) -> None:
        pod.spec.containers[0].image = "minipod/base:2"

    await update(node, "web", other_image)
    pod = await node.wait(
        "web",
        lambda p: is_ready(p) and container_status(p, "a").image.endswith("minipod/base:2"),  # type: ignore[union-attr]
    )
    counts = {s.name: s.restartCount for s in pod.status.containerStatuses}
    assert counts == {"a": 1, "b": 0}


async def test_a_restart_on_request(node: Node) -> None:
    await node.create("web", container(name="a"), container(name="b"))
    pod = await node.ready("web")
    await node.proxy("POST", f"pods/default/{pod.metadata.name}/restart", container="a")
    pod = await node.wait("web", lambda p: container_status(p, "a").restartCount == 1 and is_ready(p))  # type: ignore[union-attr]
    assert container_status(pod, "b").restartCount == 0  # type: ignore[union-attr]


async def test_a_restart_on_request_does_not_ask_the_restart_policy(node: Node) -> None:
    await node.create("web", container(name="a"), container(name="b"), restartPolicy="Never")
    pod = await node.ready("web")
    await node.proxy("POST", f"pods/default/{pod.metadata.name}/restart")
    pod = await node.wait(
        "web", lambda p: is_ready(p) and [s.restartCount for s in p.status.containerStatuses] == [1, 1]
    )
    assert pod.status.phase == "Running"


async def test_a_restart_on_request_ends_a_back_off(make_node: Any) -> None:
    from minipod.kubelet.backoff import BackOffPolicy

    node = await make_node(crash_loop=BackOffPolicy(initial=300, maximum=300, reset=600))
    await node.create("web", container("exit 1"))
    await node.wait(
        "web", lambda p: (s := main_status(p).state) and s.waiting and s.waiting.reason == "CrashLoopBackOff"
    )
    count = main_status(await node.get("web")).restartCount
    await node.proxy("POST", "pods/default/web/restart")
    await node.wait("web", lambda p: main_status(p).restartCount > count)


async def test_an_ephemeral_container_sees_its_target(node: Node) -> None:
    await node.create("web", container("exec sleep 31415"))
    await node.ready("web")

    def debug(pod: core_v1.Pod) -> None:
        pod.spec.ephemeralContainers.append(
            core_v1.EphemeralContainer(
                name="debugger",
                image="minipod/base",
                command=["sh", "-c", "ps; " + FOREVER],
                targetContainerName="main",
            )
        )

    pod = codec.copy(await node.get("web"))
    debug(pod)
    await node.update(pod, subresource="ephemeralcontainers")

    def runs(pod: core_v1.Pod) -> bool:
        found = pod.status.ephemeralContainerStatuses
        return bool(found and found[0].state and found[0].state.running)

    pod = await node.wait("web", runs)
    assert is_ready(pod)

    async def seen() -> bool:
        return "sleep 31415" in await node.logs("web", container="debugger")

    await node.until(seen, "the target's process to be seen")


async def test_an_ended_ephemeral_container_stays_ended(node: Node) -> None:
    await node.create("web")
    await node.ready("web")
    pod = codec.copy(await node.get("web"))
    pod.spec.ephemeralContainers.append(
        core_v1.EphemeralContainer(name="debugger", image="minipod/base", command=["sh", "-c", "exit 3"])
    )
    await node.update(pod, subresource="ephemeralcontainers")

    def ended(pod: core_v1.Pod) -> bool:
        found = pod.status.ephemeralContainerStatuses
        return bool(found and found[0].state and found[0].state.terminated)

    pod = await node.wait("web", ended)
    assert pod.status.phase == "Running"
    assert is_ready(pod)
    assert pod.status.ephemeralContainerStatuses[0].restartCount == 0


async def test_a_container_killed_for_its_memory(node: Node) -> None:
    if "memory" not in node.settings().host.controllers:
        pytest.skip("cgroup2 has no memory controller here")
    hog = "exec tail /dev/zero"
    await node.create("hog", container(hog, resources={"limits": {"memory": "20Mi"}}), restartPolicy="Never")
    pod = await node.phase("hog", "Failed")
    ended = main_status(pod).state.terminated
    assert (ended.reason, ended.exitCode) == ("OOMKilled", 137)
