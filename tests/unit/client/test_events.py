"""What keeps Events from filling disk and memory."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import core_v1
from minipod.api.scheme import EVENTS
from minipod.client import event_budget, events
from minipod.client.event_budget import EventBudget
from minipod.client.events import MAX_MESSAGE, NORMAL, EventRecorder
from minipod.client.inprocess import InProcessClient
from tests.unit.apiserver.objects import pod


def a_pod(name: str = "web") -> core_v1.Pod:
    made = pod(name)
    made.metadata.uid = f"uid-{name}"
    return made


async def written(client: InProcessClient, recorder: EventRecorder) -> list[core_v1.Event]:
    recorder.start()
    await recorder.stop()
    found: list[core_v1.Event] = (await client.list(EVENTS)).items
    return found


async def test_repeated_ones_are_counted(client: InProcessClient) -> None:
    recorder = EventRecorder(client, component="kubelet")
    for _ in range(3):
        recorder.pod_event(a_pod(), NORMAL, "Pulled", "again")
    assert [(event.message, event.count) for event in await written(client, recorder)] == [("again", 3)]


async def test_a_message_has_a_bound(client: InProcessClient) -> None:
    told: list[Any] = []
    recorder = EventRecorder(client, component="kubelet", on_event=lambda *event: told.append(event))
    recorder.pod_event(a_pod(), NORMAL, "Started", "x" * 1_000_000)
    recorder.node_event("node", NORMAL, "Starting", "x" * 1_000_000)
    assert [len(event.message or "") for event in await written(client, recorder)] == [MAX_MESSAGE] * 2
    assert len(told[0][3]) == MAX_MESSAGE


async def test_a_pod_that_never_rests_leaves_room_for_others(client: InProcessClient) -> None:
    told: list[Any] = []
    recorder = EventRecorder(client, component="kubelet", on_event=lambda *event: told.append(event))
    for number in range(300):
        recorder.pod_event(a_pod("restless"), NORMAL, "Started", f"{number}")
    recorder.pod_event(a_pod("other"), NORMAL, "Started", "here")
    found = await written(client, recorder)
    assert 200 <= len(found) < 250
    assert [event for event in found if event.message == "here"]
    assert len(told) == 301  # the history of a pod has bounds of its own


async def test_a_node_that_never_rests_leaves_room_for_its_other_news(client: InProcessClient) -> None:
    recorder = EventRecorder(client, component="kubelet")
    for number in range(300):
        recorder.node_event("node", "Warning", "SystemOOM", f"{number}")
    recorder.node_event("node", NORMAL, "NodeHasDiskPressure", "here")
    found = await written(client, recorder)
    assert 200 <= len(found) < 250
    assert [event for event in found if event.message == "here"]


async def test_a_disk_that_is_slow_does_not_fill_the_memory(
    client: InProcessClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_QUEUED", 50)
    recorder = EventRecorder(client, component="kubelet")
    for number in range(60):
        recorder.pod_event(a_pod(f"p{number}"), NORMAL, "Started", "x")
    assert len(await written(client, recorder)) == 50


def test_budget() -> None:
    now = 0.0
    budget = EventBudget(lambda: now)
    assert [budget.spend("a") for _ in range(202)] == [True] * 200 + [False] * 2
    assert budget.spend("b")
    now = 2.5
    assert [budget.spend("a") for _ in range(3)] == [True, True, False]
    now = 10_000.0
    assert [budget.spend("a") for _ in range(201)] == [True] * 200 + [False]


def test_budget_forgets_the_silent() -> None:
    budget = EventBudget(lambda: 0.0)
    for number in range(event_budget.MAX_OBJECTS + 1):
        budget.spend(f"{number}")
    assert len(budget._buckets) == event_budget.MAX_OBJECTS
    assert "0" not in budget._buckets
