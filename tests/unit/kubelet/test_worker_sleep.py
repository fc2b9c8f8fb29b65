"""When a pod worker sleeps, and what it shows and leaves unsaid meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from minipod.api import codec
from minipod.kubelet.backoff import BackOffPolicy
from minipod.kubelet.services import wall_clock_us
from tests.unit.kubelet.pods import UID, container, pod
from tests.unit.kubelet.stage import Stage


async def test_a_container_whose_turn_has_not_come_wakes_nobody(stage: Stage) -> None:
    """Its image could be asked for again, but the sidecar before it is down, for a minute."""
    stage.runtime.now = wall_clock_us()
    sidecar = container("s", restartPolicy="Always")
    stage.begin(
        pod(container(image="no/such:1"), initContainers=[sidecar]),
        crash_loop=BackOffPolicy(initial=60, maximum=60, reset=600),
        image_retry=BackOffPolicy(initial=0.01, maximum=0.01, reset=600),
    )
    await stage.until(lambda: stage.events.reasons.count("BackOff"))
    stage.runtime.end(UID, "s", 1)
    await stage.until(lambda: stage.runtime.calls.count("start s") == 2)
    stage.runtime.end(UID, "s", 1)
    await stage.until(lambda: stage.waits("s") == "CrashLoopBackOff")
    await asyncio.sleep(0.05)  # the image's own delay is over by far
    looks = stage.count_looks()
    await asyncio.sleep(0.05)
    assert looks() == 0


async def test_what_is_said_of_an_end_stays_while_the_rest_is_removed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipod.kubelet.pods.pod_worker.REPORT_AFTER", 0.01)
    stage.begin(pod(container("a"), container("b", image="no/such:1"), restartPolicy="Never"))
    await stage.until(lambda: "Failed" in stage.events.reasons)
    remove = stage.runtime.remove_sandbox

    async def slowly(uid: str) -> None:
        await remove(uid)
        await asyncio.sleep(0.1)  # many times REPORT_AFTER

    stage.runtime.remove_sandbox = slowly  # type: ignore[method-assign]
    stage.change(deletionTimestamp="2100-01-01T00:00:00Z", deletionGracePeriodSeconds=5)
    await asyncio.wait_for(stage.done.wait(), 5)
    last = stage.client.statuses[-1]
    assert last.podIP == "10.0.0.2"
    assert {c.type: c.reason for c in last.conditions}["Ready"] == "PodFailed"
    assert all(c.state and c.state.terminated for c in last.containerStatuses)


async def test_a_back_off_still_shows_while_another_container_is_slow(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipod.kubelet.pods.pod_worker.REPORT_AFTER", 0.01)
    stage.runtime.now = wall_clock_us()
    slow = BackOffPolicy(initial=60, maximum=60, reset=600)
    stage.begin(pod(container("a"), container("b")), crash_loop=slow)
    await stage.until(lambda: stage.phase == "Running")
    stage.runtime.end(UID, "a", 1)
    await stage.until(lambda: stage.runtime.calls.count("start a") == 2)
    stage.runtime.end(UID, "a", 1)
    await stage.until(lambda: stage.waits("a") == "CrashLoopBackOff")
    create = stage.runtime.create_container

    async def slowly(uid: str, config: Any) -> Any:
        await asyncio.sleep(0.1)  # many times REPORT_AFTER
        return await create(uid, config)

    stage.runtime.create_container = slowly  # type: ignore[method-assign]
    written = len(stage.client.statuses)
    stage.runtime.end(UID, "b", 1)
    await stage.until(lambda: stage.runtime.calls.count("start b") == 2)
    await stage.until(lambda: len(stage.client.statuses) > written + 1)
    for status in stage.client.statuses[written:]:
        state = status.containerStatuses[0].state
        assert state is not None
        assert state.waiting is not None
        assert state.waiting.reason == "CrashLoopBackOff"


async def test_what_an_earlier_daemon_said_of_an_end_stays_as_it_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed before it had let go of the sandbox."""
    monkeypatch.setattr("minipod.kubelet.pods.pod_worker.REPORT_AFTER", 0.01)
    await stage.network.attach(UID, Path("/none"))
    released = asyncio.Event()

    async def slowly(uid: str) -> None:
        await asyncio.sleep(0.1)  # many times REPORT_AFTER
        released.set()

    stage.runtime.remove_sandbox = slowly  # type: ignore[method-assign]
    stage.begin(pod(status={"phase": "Succeeded", "podIP": "10.0.0.2"}))
    await asyncio.wait_for(released.wait(), 5)
    assert not stage.client.statuses


async def test_a_pod_found_on_its_way_to_its_end_is_shown_as_it_is(stage: Stage) -> None:
    """A daemon that was killed meanwhile has left a container that runs, ready, until it obeys."""
    stage.runtime.obedient = False
    stage.begin(pod(container(), terminationGracePeriodSeconds=600))
    await stage.until(lambda: stage.phase == "Running")
    await stage.worker.stop()
    found = codec.copy(stage.worker.current_pod)
    found.metadata.deletionTimestamp = "2100-01-01T00:00:00Z"
    found.metadata.deletionGracePeriodSeconds = 600
    found.metadata.generation = 2
    written = len(stage.client.statuses)
    stage.begin(found)
    await stage.until(lambda: len(stage.client.statuses) > written)
    last = stage.client.statuses[-1]
    assert last.phase == "Running"
    assert last.containerStatuses[0].ready
    assert last.containerStatuses[0].state == found.status.containerStatuses[0].state
    stage.runtime.end(UID, "main", 0)
    await asyncio.wait_for(stage.done.wait(), 5)
