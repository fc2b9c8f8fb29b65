"""When the node is under pressure, when it is looked at again, and which pod goes first."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from minipod.kubelet.eviction.pacing import AFTER_CROSSING, LATEST, SOONEST, seconds_to_next_look
from minipod.kubelet.eviction.ranking import PodUse, eviction_message, rank
from minipod.kubelet.eviction.thresholds import Judgement, Past, judge
from minipod.kubelet.eviction.types import (
    Amount,
    DiskUse,
    EvictionSettings,
    Observation,
    PodDiskUse,
    Pressure,
    Signal,
    Threshold,
)
from tests.unit.kubelet.pods import container, pod

MI = 1 << 20
GI = 1 << 30
MEMORY, DISK, PIDS = Signal.MEMORY_AVAILABLE, Signal.NODEFS_AVAILABLE, Signal.PID_AVAILABLE


def threshold(signal: Signal = MEMORY, mi: int = 100, **more: Any) -> Threshold:
    return Threshold(signal=signal, value=Amount(Fraction(mi * MI)), **more)


def seen(mi: int, signal: Signal = MEMORY) -> dict[Signal, Observation]:
    return {signal: Observation(available=mi * MI, capacity=8 * GI)}


class Node:
    """Looks again and again with what it has learnt."""

    def __init__(self, *thresholds: Threshold, transition: float = 300) -> None:
        self.settings = EvictionSettings(thresholds=thresholds, transition_period=transition)
        self.past = Past()

    def look(self, now: float, mi: int, signal: Signal = MEMORY) -> Judgement:
        found = judge(self.past, self.settings, seen(mi, signal), now)
        self.past = found.past
        return found


def test_plenty_is_no_pressure() -> None:
    found = Node(threshold()).look(0, 100)
    assert (found.pressures, found.starved, found.wake_at) == ((), (), None)


def test_a_hard_threshold_is_acted_on_at_once() -> None:
    hard = threshold()
    found = Node(hard).look(0, 99)
    assert found.pressures == (Pressure.MEMORY,)
    assert found.starved == (hard,)


def test_a_soft_threshold_waits_for_its_grace_period_but_is_pressure_already() -> None:
    soft = threshold(grace=30.0)
    node = Node(soft)
    first = node.look(0, 99)
    assert (first.pressures, first.starved, first.wake_at) == ((Pressure.MEMORY,), (), 30)
    assert node.look(29, 99).starved == ()
    assert node.look(30, 99).starved == (soft,)


def test_a_soft_threshold_that_was_kept_in_between_begins_anew() -> None:
    node = Node(threshold(grace=30.0))
    node.look(0, 99)
    node.look(20, 101)
    assert node.look(35, 99).starved == ()
    assert node.look(65, 99).starved != ()


def test_a_condition_stays_for_the_transition_period() -> None:
    node = Node(threshold(), transition=60)
    node.look(0, 99)
    after = node.look(10, 200)
    assert (after.pressures, after.starved, after.wake_at) == ((Pressure.MEMORY,), (), 60)
    assert node.look(59, 200).pressures == (Pressure.MEMORY,)
    assert node.look(60, 200).pressures == ()


def test_the_minimum_reclaim_has_to_be_free_before_it_is_over() -> None:
    node = Node(threshold(minimum_reclaim=Amount(Fraction(50 * MI))))
    assert node.look(0, 120).starved == ()  # not crossed yet: the threshold alone counts
    assert node.look(1, 99).starved != ()
    assert node.look(2, 149).starved != ()
    assert node.look(3, 150).starved == ()
    assert node.look(4, 120).starved == ()


def test_percentages_are_of_the_capacity() -> None:
    tenth = Threshold(signal=MEMORY, value=Amount(Fraction(1, 10), fraction=True))
    assert Node(tenth).look(0, 819).starved == (tenth,)
    assert Node(tenth).look(0, 820).starved == ()


def test_memory_is_more_urgent_than_disk() -> None:
    disk, memory = threshold(DISK), threshold(MEMORY)
    settings = EvictionSettings(thresholds=(disk, memory))
    found = judge(Past(), settings, seen(1) | seen(1, DISK), 0)
    assert found.starved == (memory, disk)
    assert found.pressures == (Pressure.MEMORY, Pressure.DISK)


def test_what_cannot_be_observed_is_never_crossed() -> None:
    assert judge(Past(), EvictionSettings(thresholds=(threshold(DISK),)), seen(1), 0).pressures == ()


@pytest.mark.parametrize(
    ("free", "crossed", "expected"),
    [
        (100, False, SOONEST),
        (100 + 3 * 2048, False, 3.0),
        (100 + 10_000 * 2048, False, LATEST),
        (50, True, AFTER_CROSSING),
    ],
)
def test_the_next_look_comes_before_a_threshold_can_be_crossed(
    free: int, crossed: bool, expected: float
) -> None:
    assert seconds_to_next_look([threshold()], seen(free), crossed=crossed) == expected


def test_the_nearest_threshold_decides() -> None:
    both = [threshold(), threshold(DISK)]
    observed = seen(100 + 20 * 2048) | seen(100 + 4 * 2048, DISK)
    assert seconds_to_next_look(both, observed, crossed=False) == 4.0
    assert seconds_to_next_look([], {}, crossed=False) == LATEST


def use(name: str, used: int, request: int | None = None, **spec: Any) -> PodUse:
    """Uses `used` Mi of memory and of disk, and as many inodes and processes."""
    asked = {} if request is None else {"memory": f"{request}Mi", "ephemeral-storage": f"{request}Mi"}
    made = pod(container(resources={"requests": asked}), name=name, **spec)
    return PodUse(
        pod=made,
        memory={"main": used * MI},
        disk=PodDiskUse(layers={"main": DiskUse(used * MI, used)}),
        processes=used,
    )


@pytest.mark.parametrize(
    ("signal", "pods", "order"),
    [
        # usage over request goes first, whatever the priority
        (MEMORY, [use("within", 90, 100), use("over", 20, 10, priority=1000)], "over within"),
        # then the lower priority
        (MEMORY, [use("high", 500, 10, priority=7), use("low", 50, 10, priority=3)], "low high"),
        # then what is furthest above its request, not what is largest
        (MEMORY, [use("large", 500, 450), use("greedy", 100, 10)], "greedy large"),
        (MEMORY, [use("nothing", 10), use("something", 20, 15)], "nothing something"),
        (MEMORY, [use("idle", 10, 500), use("near", 90, 100)], "near idle"),
        (DISK, [use("within", 90, 100), use("over", 20, 10)], "over within"),
        (DISK, [use("more", 90), use("less", 20)], "more less"),
        (Signal.NODEFS_INODES_FREE, [use("few", 3, 500), use("many", 90, 500)], "many few"),
        (PIDS, [use("few", 3), use("many", 90, 500), use("vital", 500, priority=9)], "many few vital"),
    ],
)
def test_who_goes_first(signal: Signal, pods: list[PodUse], order: str) -> None:
    assert " ".join(u.pod.metadata.name or "" for u in rank(signal, pods)) == order


def test_what_is_said_of_an_eviction() -> None:
    observed = Observation(available=98_572 * 1024, capacity=8 * GI)
    assert eviction_message(threshold(), observed, use("web", 300, 100)) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 98572Ki. "
        "Container main was using 300Mi, request is 100Mi, has larger consumption of memory. "
    )
    assert eviction_message(threshold(DISK), None, use("web", 3)) == (
        "The node was low on resource: ephemeral-storage. "
        "Container main was using 3Mi, request is 0, has larger consumption of ephemeral-storage. "
    )
    assert eviction_message(threshold(PIDS), None, use("web", 3)) == ("The node was low on resource: pids. ")
