"""The pod worker's order of doing things, where real processes could not be timed: its runtime obeys the test."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from minipod.api import codec
from minipod.api.errors import StatusError
from minipod.network.errors import NetworkError
from tests.fakes.runtime import no_such_file, sandbox_trouble, sub_path_outside
from tests.helpers.threads import common_threads_taken
from tests.unit.kubelet.pods import UID, container, pod
from tests.unit.kubelet.stage import Stage


async def test_a_birth_is_one_sandbox_all_containers_and_one_status(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipod.kubelet.pods.pod_worker.REPORT_AFTER", 60)  # however slow this machine is
    stage.begin(pod(container("a"), container("b")))
    await stage.until(lambda: stage.phase == "Running")
    assert stage.runtime.calls[0] == "run_sandbox"
    assert sorted(stage.runtime.calls[1:]) == ["create a", "create b", "start a", "start b"]
    assert len(stage.client.statuses) == 1
    assert stage.client.statuses[0].podIP == "10.0.0.2"
    said = [r for r in stage.events.reasons if r != "MissingClusterDNS"]
    assert sorted(said) == ["Created", "Created", "Pulled", "Pulled", "Started", "Started"]


async def test_a_slow_birth_shows_how_far_it_is(stage: Stage) -> None:
    stage.runtime.gate = asyncio.Event()
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Pending")
    waiting = stage.client.statuses[-1].containerStatuses[0].state
    assert waiting is not None
    assert waiting.waiting is not None
    assert waiting.waiting.reason == "ContainerCreating"
    stage.runtime.gate.set()
    await stage.until(lambda: stage.phase == "Running")


async def test_the_echo_of_a_status_is_no_reason_to_look_again(stage: Stage) -> None:
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    looks = 0
    real = stage.runtime.status

    def counted(uid: str) -> Any:
        nonlocal looks
        looks += 1
        return real(uid)

    stage.runtime.status = counted  # type: ignore[method-assign]
    stage.change(resourceVersion="17")
    await asyncio.sleep(0.01)
    assert looks == 0
    stage.change(generation=2)
    await stage.until(lambda: looks)


async def test_nothing_is_written_while_nothing_changes(stage: Stage) -> None:
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    written = len(stage.client.statuses)
    for _ in range(5):
        stage.worker.wake()
        await asyncio.sleep(0.002)
    assert len(stage.client.statuses) == written


async def test_a_network_that_fails_takes_the_sandbox_with_it_and_is_tried_again(stage: Stage) -> None:
    stage.network.fail = NetworkError("no address of 10.0.0.0/24 is free")
    stage.begin(pod())
    await stage.until(lambda: "FailedCreatePodSandBox" in stage.events.reasons)
    assert "remove_sandbox" in stage.runtime.calls
    assert "start main" not in stage.runtime.calls
    assert ("FailedCreatePodSandBox", "Failed to create pod sandbox: no address of 10.0.0.0/24 is free") in (
        stage.events.said
    )
    await stage.until(lambda: stage.phase == "Running")
    assert stage.runtime.calls.count("run_sandbox") == 2


async def test_a_network_that_fails_is_noticed_even_when_no_container_can_start(stage: Stage) -> None:
    stage.network.fail = NetworkError("no")
    stage.begin(pod(container(image="no/such:1", imagePullPolicy="IfNotPresent")))
    await stage.until(lambda: "FailedCreatePodSandBox" in stage.events.reasons)
    assert "remove_sandbox" in stage.runtime.calls


async def test_a_sandbox_that_cannot_be_made_is_tried_again(stage: Stage) -> None:
    stage.runtime.fail["run_sandbox"] = sandbox_trouble()
    stage.begin(pod())
    await stage.until(lambda: "FailedCreatePodSandBox" in stage.events.reasons)
    await stage.until(lambda: stage.phase == "Running")


async def test_tries_at_a_sandbox_come_slower_and_slower(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipod.kubelet.pods.pod_starter.SYNC_RETRY_INITIAL", 0.05)
    stage.runtime.broken["run_sandbox"] = sandbox_trouble()
    stage.begin(pod())
    await stage.until(lambda: stage.runtime.calls.count("run_sandbox") >= 4)
    calls = zip(stage.runtime.calls, stage.runtime.moments, strict=True)
    moments = [moment for call, moment in calls if call == "run_sandbox"]
    assert moments[3] - moments[2] > 0.19
    stage.runtime.broken.clear()
    await stage.until(lambda: stage.phase == "Running")


@pytest.mark.parametrize("context", [{"runAsNonRoot": True}, {"capabilities": {"add": ["FLY"]}}])
async def test_the_image_is_there_before_what_is_wrong_with_the_container_is_told(
    stage: Stage, context: dict[str, Any]
) -> None:
    stage.begin(pod(container(securityContext=context)))
    await stage.until(lambda: "Failed" in stage.events.reasons)
    said = [r for r in stage.events.reasons if r in ("Pulled", "Failed", "Created")]
    assert said == ["Pulled", "Failed"]


async def test_a_failed_start_counts_as_an_end(stage: Stage) -> None:
    stage.runtime.fail["start main"] = no_such_file("/bin/x")
    stage.begin(pod(restartPolicy="Never"))
    await stage.until(lambda: stage.phase == "Failed")
    assert ("Failed", "Error: exec /bin/x: no such file or directory") in stage.events.said


@pytest.mark.parametrize("policy", ["Never", "Always"])
async def test_a_sub_path_that_cannot_be_prepared_is_no_attempt(
    stage: Stage, tmp_path: Path, policy: str
) -> None:
    mounts = [
        {"name": "other", "mountPath": "/o", "subPath": "out"},
        {"name": "v", "mountPath": "/v", "subPath": "out"},
    ]
    volumes = [{"name": n, "hostPath": {"path": str(tmp_path / n)}} for n in ("other", "v")]
    stage.runtime.fail["start main"] = sub_path_outside("out", tmp_path / "v")
    stage.begin(pod(container(volumeMounts=mounts), volumes=volumes, restartPolicy=policy))
    await stage.until(lambda: "Failed" in stage.events.reasons and stage.phase)
    assert {status.phase for status in stage.client.statuses} == {"Pending"}
    (found,) = stage.client.statuses[-1].containerStatuses
    assert found.restartCount == 0
    assert found.containerID is None
    assert found.state is not None
    assert found.state.waiting is not None
    assert found.state.waiting.reason == "CreateContainerConfigError"
    assert found.state.waiting.message == (
        'failed to prepare subPath for volumeMount "v" of container "main": '
        f"subPath 'out' of volume {tmp_path / 'v'}: it leads outside the volume"
    )
    assert "Created" not in stage.events.reasons
    sandbox = stage.runtime.status(UID)
    assert sandbox is not None
    assert sandbox.containers == ()
    assert stage.runtime.calls.count("start main") == 1


async def test_one_failed_start_does_not_keep_the_others_from_theirs(stage: Stage) -> None:
    stage.runtime.fail["start a"] = no_such_file("/bin/x")
    stage.begin(pod(container("a"), container("b"), restartPolicy="Never"))
    await stage.until(lambda: stage.phase == "Running")
    states = [s.state for s in stage.client.statuses[-1].containerStatuses]
    assert states[0] is not None
    assert states[0].terminated is not None
    assert states[1] is not None
    assert states[1].running is not None


async def test_an_unexpected_error_is_survived(stage: Stage) -> None:
    stage.runtime.fail["create main"] = ZeroDivisionError("a bug")
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")


async def test_a_pod_that_was_mended_is_tried_at_once(stage: Stage) -> None:
    stage.begin(pod(container(image="no/such:1")))
    await stage.until(lambda: stage.phase == "Pending")
    mended = codec.copy(stage.worker.pod)
    mended.spec.containers[0].image = "minipod/base"
    mended.metadata.generation = 2
    stage.worker.update(mended)
    await stage.until(lambda: stage.phase == "Running")


async def test_a_deletion_during_birth_ends_the_pod(stage: Stage) -> None:
    stage.runtime.gate = asyncio.Event()
    stage.begin(pod())
    await stage.until(lambda: stage.runtime.calls)
    stage.change(deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=30)
    stage.runtime.gate.set()
    await asyncio.wait_for(stage.done.wait(), 5)
    assert stage.client.deleted == ["web"]
    assert stage.runtime.status(UID) is None


async def test_a_deletion_while_a_container_is_being_replaced_is_not_forgotten(stage: Stage) -> None:
    stage.runtime.obedient = False
    stage.begin(pod(terminationGracePeriodSeconds=30))
    await stage.until(lambda: stage.phase == "Running")
    changed = codec.copy(stage.worker.pod)
    changed.spec.containers[0].image = "other:1"
    changed.metadata.generation = 2
    stage.worker.update(changed)
    await stage.until(lambda: "signal 15" in stage.runtime.calls)
    stage.change(deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=0)
    await asyncio.wait_for(stage.done.wait(), 5)


async def test_an_end_while_another_container_is_being_replaced_is_not_forgotten(stage: Stage) -> None:
    stage.runtime.obedient = False
    stage.begin(pod(container("a"), container("b"), terminationGracePeriodSeconds=30))
    await stage.until(lambda: stage.phase == "Running")
    changed = codec.copy(stage.worker.pod)
    changed.spec.containers[1].image = "no/such:1"
    changed.metadata.generation = 2
    stage.worker.update(changed)
    await stage.until(lambda: "signal 15" in stage.runtime.calls)
    stage.runtime.end(UID, "a", 1)
    await asyncio.sleep(0.01)  # the wait for b takes notice, and goes on
    stage.runtime.end(UID, "b", 0)
    await stage.until(lambda: stage.runtime.calls.count("start a") == 2)


async def test_a_deletion_keeps_to_its_own_threads(stage: Stage) -> None:
    """Else a tree of millions of files takes the common ones from the API. Here the common ones are taken."""
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    with common_threads_taken():
        stage.worker.removed()
        await asyncio.wait_for(stage.done.wait(), 5)


async def test_a_pod_that_left_the_api_is_ended_and_not_written_to(stage: Stage) -> None:
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    stage.worker.removed()
    await asyncio.wait_for(stage.done.wait(), 5)
    assert stage.client.deleted == []
    assert len(stage.client.statuses) == 1
    assert not (stage.worker.sandbox.context.pod_dir).exists()


async def test_a_grace_period_cut_short_is_obeyed(stage: Stage) -> None:
    stage.runtime.obedient = False
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    stage.change(deletionTimestamp="2100-01-01T00:00:00Z", deletionGracePeriodSeconds=600)
    await stage.until(lambda: "signal 15" in stage.runtime.calls)
    assert "kill" not in stage.runtime.calls
    stage.change(deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=0)
    await asyncio.wait_for(stage.done.wait(), 5)
    assert "kill" in stage.runtime.calls


async def test_a_grace_period_of_zero_kills_without_asking(stage: Stage) -> None:
    stage.begin(pod(terminationGracePeriodSeconds=0))
    await stage.until(lambda: stage.phase == "Running")
    stage.worker.removed()
    await asyncio.wait_for(stage.done.wait(), 5)
    assert "kill" in stage.runtime.calls
    assert "signal 15" not in stage.runtime.calls


async def test_the_ends_of_a_dead_sandbox_are_on_record_before_it_is_thrown_away(stage: Stage) -> None:
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    stage.runtime.kill_infra(UID)
    await stage.until(lambda: stage.runtime.calls.count("run_sandbox") == 2)
    ends = [s.containerStatuses[0].state for s in stage.client.statuses]
    assert any(state and state.terminated and state.terminated.exitCode == 137 for state in ends)
    await stage.until(lambda: stage.client.statuses[-1].containerStatuses[0].restartCount == 1)


async def test_a_finished_pod_is_let_go_once_its_end_is_on_record(stage: Stage) -> None:
    stage.begin(pod(restartPolicy="OnFailure"))
    await stage.until(lambda: stage.phase == "Running")
    stage.runtime.end(UID, "main", 0)
    await stage.until(lambda: stage.runtime.status(UID) is None)
    assert stage.phase == "Succeeded"
    stage.worker.wake()
    await asyncio.sleep(0.01)
    assert stage.runtime.calls.count("remove_sandbox") == 1


async def test_a_status_write_that_fails_does_not_end_the_worker(stage: Stage) -> None:
    stage.client.fail = StatusError(500, "InternalError", "disk full")
    stage.begin(pod())
    await stage.until(lambda: "Started" in stage.events.reasons)
    stage.runtime.end(UID, "main", 1)
    await stage.until(lambda: stage.phase == "Running")
    assert stage.client.statuses[-1].containerStatuses[0].restartCount == 1


async def test_a_deletion_does_not_wait_for_a_status_that_cannot_be_written(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipod.kubelet.pods.finisher.LAST_WORD_PATIENCE", 0.05)
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    stage.client.broken = True
    stage.change(deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=1)
    await asyncio.wait_for(stage.done.wait(), 5)
    assert stage.client.deleted == ["web"]


async def test_shutting_down_ends_the_processes_and_starts_none(stage: Stage) -> None:
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    await asyncio.wait_for(stage.worker.shut_down(None), 5)
    assert stage.runtime.status(UID) is None
    stage.worker.wake()
    await asyncio.sleep(0.01)
    assert stage.runtime.calls.count("run_sandbox") == 1
    last = stage.client.statuses[-1].containerStatuses[0].state
    assert last is not None
    assert last.terminated is not None


async def test_shutting_down_during_birth(stage: Stage) -> None:
    stage.runtime.gate = asyncio.Event()
    stage.begin(pod())
    await stage.until(lambda: stage.runtime.calls)
    ending = asyncio.create_task(stage.worker.shut_down(None))
    await asyncio.sleep(0)
    stage.runtime.gate.set()
    await asyncio.wait_for(ending, 5)
    assert stage.runtime.status(UID) is None


async def test_a_deletion_while_the_node_shuts_down_is_not_forgotten(stage: Stage) -> None:
    stage.runtime.obedient = False
    stage.begin(pod(terminationGracePeriodSeconds=30))
    await stage.until(lambda: stage.phase == "Running")
    ending = asyncio.create_task(stage.worker.shut_down(None))
    await stage.until(lambda: "signal 15" in stage.runtime.calls)
    stage.change(deletionTimestamp="2100-01-01T00:00:00Z", deletionGracePeriodSeconds=600)
    await asyncio.sleep(0.01)  # the wait for the container takes notice, and goes on
    stage.runtime.end(UID, "main", 0)
    await asyncio.wait_for(ending, 5)
    await asyncio.wait_for(stage.done.wait(), 5)
    assert stage.client.deleted == ["web"]


async def test_the_kubelets_own_work_at_a_birth_is_small(stage: Stage) -> None:
    """Not a benchmark: ten times what it takes, so that only a blunder is caught."""
    before = time.thread_time()
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    assert time.thread_time() - before < 0.03
