"""Init containers and sidecars on a real node: order of start, restarts, order of stop (KEP-753)."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from minipod.kubelet.server.container_lookup import container_status
from tests.kernel.kubelet.node import FOREVER, Node, container

SHARED: dict[str, Any] = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}


def volumes(path: Path) -> dict[str, Any]:
    return {"volumes": [{"name": "v", "hostPath": {"path": str(path)}}]}


def sidecar(script: str, name: str, **fields: Any) -> dict[str, Any]:
    return container(script, name, restartPolicy="Always", **SHARED, **fields)


def telling(name: str, *, end: str = "exit 0") -> str:
    trap = f"trap 'echo {name} >> /v/stops; {end}' TERM"
    return f"{trap}; echo {name} >> /v/starts; while :; do sleep 1000 & wait $!; done"


async def test_containers_start_in_order_and_sidecars_stop_last_in_reverse(
    node: Node, tmp_path: Path
) -> None:
    await node.create(
        "web",
        container(telling("app", end="usleep 200000; echo app-gone >> /v/stops; exit 0"), "app", **SHARED),
        initContainers=[
            sidecar(telling("one"), "one"),
            container("echo init >> /v/starts", "init", **SHARED),
            sidecar(telling("two"), "two"),
        ],
        **volumes(tmp_path),
    )
    await node.ready("web")
    await node.until(lambda: "app" in (tmp_path / "starts").read_text(), "the app to run")
    assert (tmp_path / "starts").read_text().split() == ["one", "init", "two", "app"]
    await node.delete("web")
    await node.gone("web")
    assert (tmp_path / "stops").read_text().split() == ["app", "app-gone", "two", "one"]


async def test_the_next_container_waits_for_a_sidecars_startup_probe(node: Node, tmp_path: Path) -> None:
    probe = {"exec": {"command": ["test", "-e", "/v/open"]}, "periodSeconds": 1, "failureThreshold": 100}
    await node.create(
        "web",
        container("echo app >> /v/starts; " + FOREVER, "app", **SHARED),
        initContainers=[sidecar(telling("proxy"), "proxy", startupProbe=probe)],
        **volumes(tmp_path),
    )
    pod = await node.wait(
        "web", lambda p: (s := container_status(p, "proxy")) and s.state and s.state.running
    )
    proxy = container_status(pod, "proxy")
    assert proxy is not None
    assert proxy.started is False
    assert next(c for c in pod.status.conditions if c.type == "Initialized").status == "False"
    assert pod.status.phase == "Pending"
    await node.event("web", "Unhealthy")
    assert (tmp_path / "starts").read_text().split() == ["proxy"]
    (tmp_path / "open").touch()
    await node.ready("web")


async def test_a_finished_pod_is_not_kept_alive_by_its_sidecar(node: Node, tmp_path: Path) -> None:
    await node.create(
        "job",
        container("exit 0", "work", **SHARED),
        initContainers=[sidecar(telling("proxy"), "proxy")],
        restartPolicy="Never",
        **volumes(tmp_path),
    )
    pod = await node.phase("job", "Succeeded")
    proxy = container_status(pod, "proxy")
    assert proxy is not None
    assert proxy.state is not None
    assert proxy.state.terminated is not None
    assert proxy.restartCount == 0
    assert (tmp_path / "stops").read_text().split() == ["proxy"]


async def test_a_sidecar_is_restarted_on_its_own_whatever_the_pods_policy(
    node: Node, tmp_path: Path
) -> None:
    await node.create(
        "web",
        container(FOREVER, "app"),
        initContainers=[sidecar(telling("proxy"), "proxy")],
        restartPolicy="Never",
        **volumes(tmp_path),
    )
    pod = await node.ready("web")
    sandbox = node.runtime.status(pod.metadata.uid)
    assert sandbox is not None
    os.kill(next(c.pid for c in sandbox.containers if c.name == "proxy"), signal.SIGKILL)
    pod = await node.wait("web", lambda p: container_status(p, "proxy").restartCount == 1)  # type: ignore[union-attr]
    pod = await node.ready("web")
    app = container_status(pod, "app")
    assert app is not None
    assert app.restartCount == 0


async def test_a_restart_of_the_daemon_disturbs_neither_order_nor_sidecar(
    node: Node, tmp_path: Path
) -> None:
    await node.create(
        "web",
        container(telling("app"), "app", **SHARED),
        initContainers=[
            sidecar(telling("proxy"), "proxy"),
            container("echo init >> /v/starts", "init", **SHARED),
        ],
        **volumes(tmp_path),
    )
    await node.ready("web")
    await node.restart()
    await node.ready("web")
    assert (tmp_path / "starts").read_text().split() == ["proxy", "init", "app"]


async def test_a_failed_init_container_takes_the_sidecar_with_it(node: Node, tmp_path: Path) -> None:
    await node.create(
        "web",
        container(FOREVER, "app"),
        initContainers=[sidecar(telling("proxy"), "proxy"), container("exit 4", "init", **SHARED)],
        restartPolicy="Never",
        **volumes(tmp_path),
    )
    pod = await node.phase("web", "Failed")
    proxy = container_status(pod, "proxy")
    assert proxy is not None
    assert proxy.state is not None
    assert proxy.state.terminated is not None


async def test_init_containers_run_again_in_a_new_sandbox(node: Node, tmp_path: Path) -> None:
    await node.create(
        "web",
        container(telling("app"), "app", **SHARED),
        initContainers=[
            sidecar(telling("proxy"), "proxy"),
            container("echo init >> /v/starts", "init", **SHARED),
        ],
        **volumes(tmp_path),
    )
    pod = await node.ready("web")
    sandbox = node.runtime.status(pod.metadata.uid)
    assert sandbox is not None
    os.kill(sandbox.infra_pid, signal.SIGKILL)
    await node.event("web", "SandboxChanged")
    await node.until(
        lambda: (tmp_path / "starts").read_text().split().count("app") == 2, "the app to run again"
    )
    pod = await node.ready("web")
    assert (tmp_path / "starts").read_text().split() == ["proxy", "init", "app"] * 2


async def test_a_containers_own_restart_rules(node: Node, tmp_path: Path) -> None:
    script = "echo x >> /v/runs; [ $(wc -l < /v/runs) -ge 2 ] && exit 5; exit 42"
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    await node.create(
        "job",
        container(script, "work", restartPolicy="Never", restartPolicyRules=rules, **SHARED),
        restartPolicy="Always",
        **volumes(tmp_path),
    )
    await node.until(
        lambda: (tmp_path / "runs").exists() and len((tmp_path / "runs").read_text().split()) == 2,
        "two runs",
    )
    pod = await node.wait(
        "job", lambda p: (s := container_status(p, "work")) and s.state and s.state.terminated
    )
    work = container_status(pod, "work")
    assert work is not None
    assert work.state is not None
    assert work.state.terminated is not None
    assert (work.state.terminated.exitCode, work.restartCount) == (5, 1)
