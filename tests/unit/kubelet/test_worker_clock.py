"""A clock that is set back while a pod worker waits: what waits for seconds must not wait for hours."""

from __future__ import annotations

import asyncio

import pytest

from minipod.kubelet.backoff import BackOffPolicy
from tests.fakes.runtime import sandbox_trouble
from tests.unit.kubelet.pods import UID, container, pod
from tests.unit.kubelet.stage import Stage

HOUR = 3_600_000_000


async def test_a_kill_still_comes(stage: Stage) -> None:
    stage.runtime.obedient = False
    stage.begin(pod(terminationGracePeriodSeconds=1))
    await stage.until(lambda: stage.phase == "Running")
    stage.clock_ahead = HOUR
    stage.change(deletionTimestamp="2100-01-01T00:00:00Z", deletionGracePeriodSeconds=1)
    await stage.until(lambda: "signal 15" in stage.runtime.calls)
    stage.clock_ahead = 0
    stage.worker.wake()
    await asyncio.wait_for(stage.done.wait(), 30)
    assert "kill" in stage.runtime.calls


async def test_an_image_is_asked_for_again(stage: Stage) -> None:
    stage.clock_ahead = HOUR
    retry = BackOffPolicy(initial=0.05, maximum=0.05, reset=600)
    stage.begin(pod(container(image="late:1")), image_retry=retry)
    await stage.until(lambda: stage.waits("main"))
    stage.clock_ahead = 0
    stage.images.present.add("late:1")
    await stage.until(lambda: stage.phase == "Running")


async def test_a_sandbox_is_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minipod.kubelet.pods.pod_starter.SYNC_RETRY_INITIAL", 0.05)
    stage.clock_ahead = HOUR
    stage.runtime.fail["run_sandbox"] = sandbox_trouble()
    stage.begin(pod())
    await stage.until(lambda: "FailedCreatePodSandBox" in stage.events.reasons)
    stage.clock_ahead = 0
    await stage.until(lambda: stage.phase == "Running")
    assert stage.runtime.status(UID) is not None
