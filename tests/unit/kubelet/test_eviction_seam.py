"""Ending a pod for the node's sake: what becomes of it, and that a killed daemon does not forget it."""

from __future__ import annotations

from pathlib import Path

import pytest

from minipod.api import codec, core_v1
from minipod.kubelet.pods.verdict import Verdict, recall, record
from minipod.kubelet.status.generate import Failed
from tests.unit.kubelet.pods import container, pod
from tests.unit.kubelet.stage import Stage

LOW = Failed("Evicted", "The node was low on resource: memory. ", disrupted=True)


def disruption(status: core_v1.PodStatus) -> core_v1.PodCondition | None:
    return next((c for c in status.conditions if c.type == "DisruptionTarget"), None)


async def test_an_evicted_pod_fails_with_reason_message_and_condition(stage: Stage) -> None:
    stage.begin(pod(restartPolicy="Always"))
    await stage.until(lambda: stage.phase == "Running")
    assert stage.worker.evict(LOW, grace=1)
    await stage.worker.ended()
    status = stage.client.statuses[-1]
    assert (status.phase, status.reason, status.message) == ("Failed", "Evicted", LOW.message)
    found = disruption(status)
    assert found is not None
    assert (found.status, found.reason, found.message) == ("True", "TerminationByKubelet", LOW.message)
    assert ("Evicted", LOW.message) in stage.events.said
    assert stage.runtime.calls.count("create main") == 1


async def test_the_condition_is_not_there_before_the_last_process_has_ended(stage: Stage) -> None:
    stage.runtime.obedient = False
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    stage.worker.evict(LOW, grace=30)
    await stage.until(lambda: "signal 15" in stage.runtime.calls)
    assert stage.phase == "Running"
    assert all(disruption(status) is None for status in stage.client.statuses)


async def test_a_pod_without_grace_is_killed_at_once(stage: Stage) -> None:
    stage.runtime.obedient = False
    stage.begin(pod(terminationGracePeriodSeconds=300))
    await stage.until(lambda: stage.phase == "Running")
    stage.worker.evict(LOW, grace=0)
    await stage.until(lambda: "kill" in stage.runtime.calls)


async def test_an_own_grace_period_that_is_shorter_is_kept(stage: Stage) -> None:
    stage.runtime.obedient = False
    stage.begin(pod(terminationGracePeriodSeconds=0))
    await stage.until(lambda: stage.phase == "Running")
    stage.worker.evict(LOW, grace=300)
    await stage.until(lambda: "kill" in stage.runtime.calls)


async def test_a_daemon_that_was_killed_in_the_middle_goes_on_with_it(stage: Stage) -> None:
    stage.runtime.obedient = False
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    stage.worker.evict(LOW, grace=30)
    await stage.until(lambda: "signal 15" in stage.runtime.calls)
    await stage.worker.stop()  # no more than a kill does
    stage.runtime.obedient = True
    again = codec.copy(stage.worker.pod)
    again.status = stage.client.statuses[-1]
    stage.begin(again)
    await stage.worker.ended()
    status = stage.client.statuses[-1]
    assert (status.phase, status.reason) == ("Failed", "Evicted")
    assert disruption(status) is not None
    assert not stage.worker.sandbox.present


async def test_an_evicted_pod_makes_room_although_its_status_cannot_be_written(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipod.kubelet.pods.finisher.EVICTED_PATIENCE", 0.05)
    monkeypatch.setattr("minipod.kubelet.status.manager.FIRST_RETRY", 0.01)
    stage.begin(pod())
    await stage.until(lambda: stage.phase == "Running")
    stage.client.broken = True  # as on a full disk
    stage.worker.evict(LOW, grace=0)
    await stage.until(lambda: "remove_sandbox" in stage.runtime.calls)
    shared = stage.worker.sandbox.context.shared_dir
    await stage.until(lambda: not any(stage.worker.sandbox.context.pod_dir.iterdir()))
    assert recall(stage.worker.pod, shared) is not None  # until the API knows, the file does
    stage.client.broken = False
    await stage.worker.ended()
    assert stage.phase == "Failed"
    assert not shared.exists()


async def test_a_pod_that_has_ended_is_not_evicted(stage: Stage) -> None:
    stage.begin(pod(container(), restartPolicy="Never"))
    await stage.until(lambda: stage.phase == "Running")
    stage.runtime.end("6b1f0c2e-3f57-4d0e-9a53-0f1d2f7f9a11", "main", 0)
    await stage.worker.ended()
    assert not stage.worker.evict(LOW, grace=1)
    assert stage.phase == "Succeeded"
    assert "Evicted" not in stage.events.reasons


def test_a_verdict_on_file(tmp_path: Path) -> None:
    assert recall(pod(), tmp_path / "none") is None
    record(tmp_path / "shared", Verdict(LOW, until=5_000_000))
    found = recall(pod(), tmp_path / "shared")
    assert found == Verdict(LOW, until=5_000_000)
    assert (found.left(3_000_000), found.left(9_000_000)) == (2.0, 0.0)


def test_a_verdict_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "verdict.json").write_text('{"failed": 3}')
    assert recall(pod(), tmp_path) is None


def test_a_failed_pod_stays_failed_whatever_lies_on_disk(tmp_path: Path) -> None:
    over = pod(status={"phase": "Failed", "reason": "DeadlineExceeded", "message": "late"})
    found = recall(over, tmp_path)
    assert found is not None
    assert found.failed == Failed("DeadlineExceeded", "late")
