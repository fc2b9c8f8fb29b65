"""A daemon that comes back finds every pod as it really is: adopted, ended meanwhile, half-made or half-deleted."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from minipod.api import core_v1
from minipod.api.scheme import PODS
from minipod.linux.cgroup2 import cgroup
from tests.helpers.wait import wait_until
from tests.kernel.kubelet.node import Node, container, is_ready, main_status


def pid_of(node: Node, pod: core_v1.Pod) -> int:
    status = node.runtime.status(pod.metadata.uid or "")
    assert status is not None
    return status.containers[-1].pid


async def reboot(node: Node) -> None:
    """What a reboot leaves: the disk. Every process is gone, and so is what lay on a tmpfs."""
    await node.stop()
    group = cgroup.mount_point() / node.word
    cgroup.kill(group)
    cgroup.remove(group)
    shutil.rmtree(node.settings().run_dir)
    await node.start()


async def test_running_pods_go_on_untouched(node: Node) -> None:
    await node.create("stays")
    before = await node.ready("stays")
    await node.event("stays", "Started")
    pid = pid_of(node, before)
    await node.restart()
    after = await node.ready("stays")
    assert pid_of(node, after) == pid
    assert after.status.containerStatuses == before.status.containerStatuses
    assert after.status.podIP == before.status.podIP
    assert [e.reason for e in await node.events("stays")].count("Started") == 1
    assert (await node.exec("stays", "echo", "hi")) == (0, "hi\n")


async def test_an_end_meanwhile_has_its_true_code_and_time(node: Node, tmp_path: Path) -> None:
    mount = {"volumeMounts": [{"name": "h", "mountPath": "/h"}]}
    await node.create(
        "leaves",
        container("until [ -e /h/go ]; do sleep 0.02; done; exit 42", **mount),
        restartPolicy="Never",
        volumes=[{"name": "h", "hostPath": {"path": str(tmp_path)}}],
    )
    pid = pid_of(node, await node.ready("leaves"))
    await node.stop()
    (tmp_path / "go").touch()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    await node.start()
    ended = main_status(await node.phase("leaves", "Failed")).state.terminated
    assert ended.exitCode == 42
    assert ended.finishedAt >= ended.startedAt


async def test_a_container_that_ended_meanwhile_is_restarted(node: Node) -> None:
    await node.create("again")
    pid = pid_of(node, await node.ready("again"))
    await node.stop()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    await node.start()
    pod = await node.wait("again", lambda p: main_status(p).restartCount == 1 and is_ready(p), "to restart")
    assert main_status(pod).lastState.terminated.signal == 9


async def test_back_off_goes_on_where_it_was(node: Node) -> None:
    await node.create("crash", container("exit 1"))
    await node.wait("crash", lambda p: main_status(p).restartCount >= 3, "to restart three times")
    await node.restart()
    pod = await node.wait("crash", lambda p: main_status(p).restartCount >= 4, "to restart once more")
    assert main_status(pod).restartCount <= 6


async def test_a_pod_deleted_meanwhile_is_taken_away(node: Node) -> None:
    await node.create("removed")
    pod = await node.ready("removed")
    pid = pid_of(node, pod)
    await node.kubelet.stop()
    await node.delete("removed", grace=0)
    await node.restart_after_kubelet()
    assert not Path(f"/proc/{pid}").exists()
    assert node.runtime.status(pod.metadata.uid or "") is None
    assert not (node.settings().data_dir / "pods" / (pod.metadata.uid or "")).exists()
    assert not list(node.settings().log_dir.glob(f"*{pod.metadata.uid}"))


async def test_the_logs_of_an_ended_pod_that_was_deleted_meanwhile_go_too(node: Node) -> None:
    await node.create("ended", container("echo bye"), restartPolicy="Never")
    uid = (await node.phase("ended", "Succeeded")).metadata.uid
    await node.until(lambda: node.runtime.status(uid) is None, "the sandbox to go")
    await node.kubelet.stop()
    await node.delete("ended")
    await node.restart_after_kubelet()
    assert not list(node.settings().log_dir.glob(f"*{uid}"))
    assert not (node.settings().data_dir / "pods" / uid).exists()


async def test_a_deletion_under_way_is_finished(node: Node) -> None:
    deaf = container("trap '' TERM; while :; do sleep 1000; done")
    await node.create("going", deaf, terminationGracePeriodSeconds=2)
    await node.ready("going")
    await node.delete("going")
    await node.event("going", "Killing")
    await node.restart()
    await node.gone("going")


async def test_a_finished_pod_stays_finished(node: Node) -> None:
    await node.create("done", container("echo bye"), restartPolicy="Never")
    before = await node.phase("done", "Succeeded")
    await node.restart()
    after = await node.get("done")
    assert after.status == before.status
    assert await node.logs("done") == "bye\n"


async def test_images_and_volumes_survive(node: Node) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    await node.create("vol", container(**mount), volumes=[{"name": "v", "emptyDir": {}}])
    await node.ready("vol")
    assert (await node.exec("vol", "sh", "-c", "echo data > /v/f"))[0] == 0
    await node.restart()
    pid = pid_of(node, await node.get("vol"))
    os.kill(pid, signal.SIGKILL)
    await node.wait("vol", lambda p: main_status(p).restartCount == 1 and is_ready(p), "to restart")
    assert await node.exec("vol", "cat", "/v/f") == (0, "data\n")


# -- after a reboot ------------------------------------------------------------------------------------------------


async def test_after_a_reboot_pods_start_again(node: Node) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    await node.create(
        "back",
        container("echo boot >> /v/f; touch /upper; ls / > /v/root; exec sleep 1000", **mount),
        volumes=[{"name": "v", "emptyDir": {}}],
        initContainers=[container("exit 0", "init")],
    )
    before = await node.ready("back")
    await reboot(node)
    after = await node.wait("back", lambda p: main_status(p).restartCount == 1 and is_ready(p), "to be back")
    assert main_status(after).containerID != main_status(before).containerID
    last = main_status(after).lastState.terminated
    assert (last.exitCode, last.reason) == (137, "ContainerStatusUnknown")
    assert after.status.initContainerStatuses[0].restartCount == 1
    assert await node.exec("back", "cat", "/v/f") == (0, "boot\nboot\n")


@pytest.mark.parametrize(("policy", "phase"), [("Never", "Failed"), ("OnFailure", "Running")])
async def test_after_a_reboot_the_restart_policy_decides(node: Node, policy: str, phase: str) -> None:
    await node.create("policy", restartPolicy=policy)
    await node.ready("policy")
    await reboot(node)
    if phase == "Failed":
        pod = await node.phase("policy", "Failed")
        assert main_status(pod).state.terminated.reason == "ContainerStatusUnknown"
    else:
        await node.wait("policy", lambda p: main_status(p).restartCount == 1 and is_ready(p), "to be back")


async def test_after_a_reboot_ended_pods_are_still_ended(node: Node) -> None:
    await node.create("done", container("echo bye"), restartPolicy="Never")
    before = await node.phase("done", "Succeeded")
    await reboot(node)
    assert (await node.get("done")).status == before.status
    assert await node.logs("done") == "bye\n"


# -- stopping at every moment --------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(1, 12))
async def test_a_birth_interrupted_anywhere_is_finished(node: Node, steps: int) -> None:
    """The daemon ends at the n-th look of the event loop after the Pod was created."""
    import asyncio

    spec: dict[str, Any] = {"initContainers": [container("exit 0", "init")]}
    await node.create("born", **spec)
    for _ in range(steps * 4):
        await asyncio.sleep(0)
    await asyncio.sleep(steps * 0.003)
    await node.restart()
    pod = await node.ready("born")
    assert main_status(pod).restartCount == 0
    status = node.runtime.status(pod.metadata.uid or "")
    assert status is not None
    assert [c.name for c in status.containers] == ["init", "main"]
    assert len((await node.client.list(PODS)).items) == 1
