"""Probes on a real node: what they change, and what they leave alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minipod.api import codec, core_v1
from minipod.api.scheme import PODS
from tests.kernel.kubelet.node import FOREVER, Node, container, is_ready, main_status

QUICK = {"minipod.io/probe-period-ms": "20"}
SHARED: dict[str, Any] = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}


def volumes(path: Path) -> dict[str, Any]:
    return {"volumes": [{"name": "v", "hostPath": {"path": str(path)}}]}


def exists(name: str, **fields: Any) -> dict[str, Any]:
    return {"exec": {"command": ["cat", f"/v/{name}"]}, "failureThreshold": 1, **fields}


async def create(
    node: Node, name: str, made: dict[str, Any], annotations: dict[str, str] = QUICK, **spec: Any
) -> Any:
    body = {
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {"nodeName": node.word, "containers": [made], **spec},
    }
    return await node.client.create(PODS, codec.from_builtins(core_v1.Pod, body))


async def test_readiness_moves_the_conditions_and_nothing_else(node: Node, tmp_path: Path) -> None:
    await create(node, "web", container(readinessProbe=exists("ready"), **SHARED), **volumes(tmp_path))
    pod = await node.wait("web", lambda p: p.status.phase == "Running")
    assert not is_ready(pod)
    assert main_status(pod).started is True
    assert {c.type: c.status for c in pod.status.conditions}["ContainersReady"] == "False"
    event = await node.event("web", "Unhealthy")
    assert event.message.startswith("Readiness probe failed: ")
    assert "can't open '/v/ready'" in event.message
    (tmp_path / "ready").touch()
    await node.ready("web")
    (tmp_path / "ready").unlink()
    pod = await node.wait("web", lambda p: not is_ready(p))
    assert main_status(pod).restartCount == 0
    assert main_status(pod).state.running


async def test_a_failed_liveness_probe_restarts_the_container(node: Node, tmp_path: Path) -> None:
    (tmp_path / "live").touch()
    await create(node, "web", container(livenessProbe=exists("live"), **SHARED), **volumes(tmp_path))
    await node.ready("web")
    (tmp_path / "live").unlink()
    killing = await node.event("web", "Killing")
    assert killing.message == "Container main failed liveness probe, will be restarted"
    (tmp_path / "live").touch()
    pod = await node.wait("web", lambda p: main_status(p).restartCount > 0 and is_ready(p))
    assert main_status(pod).lastState.terminated is not None


async def test_a_failed_liveness_probe_ends_a_pod_that_never_restarts(node: Node, tmp_path: Path) -> None:
    made = container("sleep 1000", livenessProbe=exists("live", terminationGracePeriodSeconds=1), **SHARED)
    await create(node, "web", made, restartPolicy="Never", **volumes(tmp_path))
    pod = await node.phase("web", "Failed")
    # "sleep" as pid 1 ignores SIGTERM: the probe's own grace period, not the pod's 30 s, has ended it
    assert main_status(pod).state.terminated.exitCode == 137


async def test_the_startup_probe_comes_before_the_others(node: Node, tmp_path: Path) -> None:
    made = container(
        startupProbe=exists("started", failureThreshold=1000),
        livenessProbe=exists("live"),
        readinessProbe=exists("ready"),
        **SHARED,
    )
    await create(node, "web", made, **volumes(tmp_path))
    await node.event("web", "Unhealthy")
    pod = await node.get("web")
    assert main_status(pod).started is False
    assert main_status(pod).restartCount == 0
    for name in ("live", "ready", "started"):
        (tmp_path / name).touch()
    pod = await node.ready("web")
    assert main_status(pod).started is True
    said = {e.message.split(" ")[0] for e in await node.events("web") if e.reason == "Unhealthy"}
    assert said == {"Startup"}


async def test_a_failed_startup_probe_restarts_the_container(node: Node, tmp_path: Path) -> None:
    made = container(startupProbe=exists("started", failureThreshold=2), **SHARED)
    await create(node, "web", made, **volumes(tmp_path))
    await node.wait("web", lambda p: main_status(p).restartCount > 0)
    killing = await node.event("web", "Killing")
    assert killing.message == "Container main failed startup probe, will be restarted"


async def test_network_probes_need_nothing_in_the_image(node: Node) -> None:
    made = container(
        "mkdir -p /w; echo ok > /w/index.html; httpd -p 8080 -h /w; " + FOREVER,
        ports=[{"name": "http", "containerPort": 8080}],
        readinessProbe={"httpGet": {"path": "/index.html", "port": "http"}},
        livenessProbe={"tcpSocket": {"port": 8080}},
    )
    await create(node, "web", made)
    await node.ready("web")


async def test_a_wrong_status_code_is_told(node: Node) -> None:
    made = container(
        "mkdir -p /w; httpd -p 8080 -h /w; " + FOREVER,
        readinessProbe={"httpGet": {"path": "/nothing", "port": 8080}},
    )
    await create(node, "web", made)

    async def told() -> bool:
        return any("statuscode: 404" in e.message for e in await node.events("web"))

    await node.until(told, "an event with the status code")
    assert not is_ready(await node.get("web"))


async def test_a_new_daemon_does_not_take_an_adopted_pod_for_unready(node: Node, tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    await create(node, "web", container(readinessProbe=exists("ready"), **SHARED), **volumes(tmp_path))
    pod = await node.ready("web")
    before = next(c for c in pod.status.conditions if c.type == "Ready").lastTransitionTime
    version = pod.metadata.resourceVersion
    await node.restart()
    (tmp_path / "ready").unlink()
    pod = await node.wait("web", lambda p: not is_ready(p))  # the new daemon probes as well
    assert before is not None
    assert version != pod.metadata.resourceVersion
    listed = [e for e in await node.events("web") if e.reason == "Unhealthy"]
    assert listed


async def test_a_probe_that_times_out_leaves_no_process(node: Node, tmp_path: Path) -> None:
    probe = {
        "exec": {"command": ["sh", "-c", "setsid sleep 987654 & echo $! >> /v/pids; sleep 987654"]},
        "timeoutSeconds": 1,
        "failureThreshold": 100,
    }
    await create(node, "web", container(readinessProbe=probe, **SHARED), **volumes(tmp_path))
    event = await node.event("web", "Unhealthy")
    assert "timed out" in event.message
    await node.delete("web")
    await node.gone("web")


async def test_the_annotation_can_be_set_on_a_running_pod(node: Node, tmp_path: Path) -> None:
    made = container(readinessProbe=exists("ready", periodSeconds=3600), **SHARED)
    await create(node, "web", made, annotations={}, **volumes(tmp_path))
    await node.event("web", "Unhealthy")
    (tmp_path / "ready").touch()
    pod = await node.wait("web", lambda p: p.status.phase == "Running")
    hurried = codec.copy(pod)
    hurried.metadata.annotations = QUICK
    await node.update(hurried)
    await node.ready("web")
