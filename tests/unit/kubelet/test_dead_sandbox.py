"""What a pod worker does when the infra process has died, and the containers' ends come to be known only later."""

from __future__ import annotations

import asyncio

from tests.unit.kubelet.pods import UID, container, pod
from tests.unit.kubelet.stage import Stage


async def test_an_init_container_that_dies_with_it_fails_a_pod_that_never_restarts(stage: Stage) -> None:
    stage.begin(pod(initContainers=[container("i")], restartPolicy="Never"))
    await stage.until(lambda: "start i" in stage.runtime.calls)
    await stage.until(lambda: stage.phase == "Pending")
    stage.runtime.kill_infra(UID, alone=True)
    await stage.until(lambda: stage.runtime.status(UID) is None)
    assert stage.phase == "Failed"
    stage.worker.wake()
    await asyncio.sleep(0.01)
    assert stage.runtime.calls.count("run_sandbox") == 1


async def test_only_who_may_restart_does(stage: Stage) -> None:
    stage.begin(pod(container("once", restartPolicy="Never"), container("again")))
    await stage.until(lambda: stage.phase == "Running")
    stage.runtime.kill_infra(UID, alone=True)
    await stage.until(lambda: stage.runtime.calls.count("start again") == 2)
    await stage.until(lambda: stage.client.statuses[-1].containerStatuses[1].restartCount == 1)
    assert stage.runtime.calls.count("start once") == 1
    state = stage.client.statuses[-1].containerStatuses[0].state
    assert state is not None
    assert state.terminated is not None
    assert state.terminated.exitCode == 137
