"""Restarts and readiness on a real node where a process's own exit code is not the whole story."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from minipod.api import core_v1
from tests.kernel.kubelet.node import FOREVER, Node, container, is_ready, main_status

SHARED: dict[str, Any] = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
POLITE = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"


async def test_a_container_killed_for_its_health_runs_again_although_it_ended_with_exit_code_0(
    node: Node, tmp_path: Path
) -> None:
    (tmp_path / "live").touch()
    probe = {"exec": {"command": ["cat", "/v/live"]}, "failureThreshold": 1, "periodSeconds": 1}
    volumes = [{"name": "v", "hostPath": {"path": str(tmp_path)}}]
    made = container(POLITE, livenessProbe=probe, **SHARED)
    await node.create("web", made, restartPolicy="OnFailure", volumes=volumes)
    await node.ready("web")
    (tmp_path / "live").unlink()
    await node.event("web", "Killing")
    (tmp_path / "live").touch()
    pod = await node.wait("web", lambda p: main_status(p).restartCount > 0 and is_ready(p))
    assert pod.status.phase == "Running"
    assert main_status(pod).lastState.terminated.exitCode == 0


async def test_a_readiness_gate_opens_as_soon_as_its_condition_is_true(node: Node) -> None:
    gate = "example.test/gate"
    await node.create("web", container(FOREVER), readinessGates=[{"conditionType": gate}])
    pod = await node.wait("web", lambda p: p.status.phase == "Running")
    ready = next(c for c in pod.status.conditions if c.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "ReadinessGatesNotReady")
    await set_condition(node, pod, gate, "True")
    pod = await node.ready("web")
    await set_condition(node, pod, gate, "False")
    pod = await node.wait("web", lambda p: not is_ready(p))
    assert {c.type: c.status for c in pod.status.conditions}[gate] == "False"


async def set_condition(node: Node, pod: core_v1.Pod, type_: str, status: str) -> None:
    changed = copy.deepcopy(pod)
    others = [c for c in changed.status.conditions if c.type != type_]
    changed.status.conditions = [*others, core_v1.PodCondition(type=type_, status=status)]
    await node.update(changed, subresource="status")
