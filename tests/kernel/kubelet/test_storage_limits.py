"""Pods that write more to disk than they may."""

from __future__ import annotations

from typing import Any

from minipod.api import core_v1
from tests.kernel.kubelet.node import Node, container, is_ready

REST = "; trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"


def limited(script: str, limit: str, **fields: Any) -> dict[str, Any]:
    return container(script, resources={"limits": {"ephemeral-storage": limit}}, **fields)


def mounted(script: str, **fields: Any) -> dict[str, Any]:
    return container(script, volumeMounts=[{"name": "v", "mountPath": "/v"}], **fields)


def empty_dir(**source: Any) -> list[dict[str, Any]]:
    return [{"name": "v", "emptyDir": source}]


async def evicted(node: Node, name: str, message: str) -> core_v1.Pod:
    pod = await node.wait(name, lambda p: p.status.phase == "Failed", "to be evicted")
    assert (pod.status.reason, pod.status.message) == ("Evicted", message)
    event = await node.event(name, "Evicted")
    assert (event.type, event.message) == ("Warning", message)
    assert not any(c.type == "DisruptionTarget" for c in pod.status.conditions)
    return pod


async def test_whoever_writes_more_than_it_may_goes_and_its_neighbour_stays(node: Node) -> None:
    within = limited("head -c 4m /dev/zero > /v/big; head -c 4m /dev/zero > /big" + REST, "16Mi")
    within["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    await node.create("within", within, volumes=empty_dir(sizeLimit="8Mi"))
    await node.create(
        "volume", mounted("head -c 3m /dev/zero > /v/big" + REST), volumes=empty_dir(sizeLimit="1Mi")
    )
    await node.create(
        "layer",
        limited("head -c 3m /dev/zero > /big" + REST, "1Mi", name="c"),
        container(name="other"),
    )
    chatter = "head -c 3m /dev/zero | tr '\\0' 'x' | fold -w 1000" + REST
    # The pod as a whole stays within the sum; its talkative container does not.
    await node.create("logs", limited(chatter, "1Mi", name="c"), limited(REST[2:], "1Gi", name="other"))
    await evicted(node, "volume", 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ')
    await evicted(
        node, "layer", "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "
    )
    await evicted(node, "logs", 'Container c exceeded its local ephemeral storage limit "1Mi". ')
    assert is_ready(await node.get("within"))


async def test_what_grew_under_an_earlier_daemon_is_found_by_the_next(node: Node) -> None:
    await node.create(
        "pod", mounted("while ! [ -e /go ]; do sleep 0.05; done"), volumes=empty_dir(sizeLimit="1Mi")
    )
    await node.ready("pod")
    directory = next((node.workdir / "data" / "pods").glob("*/volumes/kubernetes.io~empty-dir/v"))
    await node.kubelet.stop()
    (directory / "big").write_bytes(b"x" * (3 << 20))
    await node.restart_after_kubelet()
    await evicted(node, "pod", 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ')


async def test_critical_pods_and_volumes_in_memory_are_left_alone(node: Node) -> None:
    await node.create(
        "critical",
        mounted("head -c 3m /dev/zero > /v/big" + REST),
        volumes=empty_dir(sizeLimit="1Mi"),
        priorityClassName="system-node-critical",
    )
    await node.create(
        "memory",
        mounted("head -c 3m /dev/zero > /v/big" + REST),
        volumes=empty_dir(sizeLimit="1Mi", medium="Memory"),
    )
    await node.create(
        "victim", mounted("head -c 3m /dev/zero > /v/big" + REST), volumes=empty_dir(sizeLimit="1Mi")
    )
    await evicted(node, "victim", 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ')
    for name in ("critical", "memory"):
        assert is_ready(await node.get(name))
