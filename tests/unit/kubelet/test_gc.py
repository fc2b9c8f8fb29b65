"""Which images and ended attempts are collected, and when that is looked at again."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import core_v1
from minipod.kubelet.gc.dead_container_collector import is_on_record
from minipod.kubelet.gc.dead_containers import DeadContainer, seconds_to_age, surplus
from minipod.kubelet.gc.image_policy import (
    bytes_to_free,
    candidates,
    observe,
    removable,
    too_old,
    wake_at,
)
from minipod.kubelet.gc.types import (
    NEVER,
    DeadContainerPolicy,
    DiskSpace,
    GcSettings,
    ImagePolicy,
    ImageRecord,
    gc_settings,
)
from tests.unit.kubelet.pods import pod

POLICY = ImagePolicy(high_percent=85, low_percent=80, min_age=120, max_age=0)


def image(id_: str, detected: float = 0, last_used: float = NEVER, *, used: bool = False) -> ImageRecord:
    return ImageRecord(id=id_, size=10, detected=detected, last_used=last_used, used=used)


def records(*images: ImageRecord) -> dict[str, ImageRecord]:
    return {one.id: one for one in images}


def ids(found: list[ImageRecord]) -> list[str]:
    return [one.id for one in found]


@pytest.mark.parametrize(
    ("available", "expected"),
    [(1000, 0), (160, 0), (159, 41), (150, 50), (100, 100), (0, 200), (2000, 0)],
)
def test_from_the_high_threshold_down_to_the_low_one(available: int, expected: int) -> None:
    assert bytes_to_free(DiskSpace(capacity=1000, available=available), POLICY) == expected


def test_nothing_is_freed_when_the_high_threshold_is_a_hundred_or_the_disk_has_no_size() -> None:
    off = ImagePolicy(high_percent=100, low_percent=80)
    assert bytes_to_free(DiskSpace(capacity=1000, available=0), off) == 0
    assert bytes_to_free(DiskSpace(capacity=0, available=0), POLICY) == 0


def test_the_least_recently_used_goes_first_then_what_came_first() -> None:
    known = records(
        image("used", used=True, last_used=100),
        image("recent", last_used=50),
        image("late", detected=20),
        image("early", detected=10),
        image("old", last_used=40),
    )
    assert ids(candidates(known)) == ["early", "late", "old", "recent"]


def test_what_has_just_come_stays() -> None:
    known = records(
        image("young", detected=100), image("just", detected=80), image("before", detected=NEVER)
    )
    assert ids(removable(known, POLICY, now=200)) == ["before", "just"]


def test_an_image_is_in_use_until_the_look_that_finds_it_unused() -> None:
    first = observe({}, {"a": 1, "b": 2}, {"a"}, now=10, first=True)
    assert first["a"] == ImageRecord(id="a", size=1, detected=NEVER, last_used=10, used=True)
    assert first["b"] == ImageRecord(id="b", size=2, detected=NEVER)
    then = observe(first, {"a": 1, "c": 3}, set(), now=50)
    assert then == {
        "a": ImageRecord(id="a", size=1, detected=NEVER, last_used=50),
        "c": ImageRecord(id="c", size=3, detected=50),
    }
    assert observe(then, {"a": 1}, set(), now=90)["a"].last_used == 50
    assert observe(then, {"a": 1}, set(), now=90, ended={"a"})["a"].last_used == 90


@pytest.mark.parametrize(
    ("record", "now", "expected"),
    [
        (image("a", last_used=100), 700, False),
        (image("a", last_used=100), 701, True),
        (image("a", last_used=100, used=True), 9000, False),
        (image("a", detected=200), 701, False),
        (image("a", detected=NEVER), 650, False),
        (image("a", detected=NEVER), 651, True),
    ],
)
def test_the_maximum_age_counts_from_the_last_use_the_arrival_or_the_start(
    record: ImageRecord, now: float, expected: bool
) -> None:
    policy = ImagePolicy(max_age=600)
    assert bool(too_old(records(record), policy, now=now, began=50)) is expected
    assert too_old(records(record), POLICY, now=now, began=50) == []


@pytest.mark.parametrize(
    ("max_age", "over", "expected"),
    [(0, False, None), (0, True, 220), (600, False, 640), (600, True, 220)],
)
def test_only_time_that_can_change_something_wakes(
    max_age: float, over: bool, expected: float | None
) -> None:
    policy = ImagePolicy(max_age=max_age)
    known = records(image("young", detected=100), image("old", last_used=40), image("b", used=True))
    assert wake_at(known, policy, now=150, began=0, over=over) == expected


def dead(name: str, attempt: int, **facts: Any) -> DeadContainer:
    made: dict[str, Any] = {"pod": "p", "id": f"{name}{attempt}", "age": 100.0 - attempt, **facts}
    return DeadContainer(name=name, attempt=attempt, **made)


@pytest.mark.parametrize(("restarts", "told"), [(0, False), (1, True), (4, True)])
def test_how_an_attempt_ended_is_on_record_once_the_next_one_is(restarts: int, told: bool) -> None:
    found = pod()
    found.status.initContainerStatuses = [
        core_v1.ContainerStatus(name="a", image="i", imageID="", ready=False, restartCount=restarts)
    ]
    assert is_on_record(found, dead("a", 0)) is told
    assert not is_on_record(found, dead("b", 0))


def gone(policy: DeadContainerPolicy, *attempts: DeadContainer) -> list[str]:
    return [one.id for one in surplus(attempts, policy)]


THREE = (dead("a", 0), dead("a", 1), dead("a", 2))
LAST_DEAD = (dead("a", 0), dead("a", 1), dead("a", 2, latest=True))


@pytest.mark.parametrize(
    ("policy", "attempts", "expected"),
    [
        (DeadContainerPolicy(), THREE, ["a0", "a1"]),
        (DeadContainerPolicy(per_container=2), THREE, ["a0"]),
        (DeadContainerPolicy(per_container=0), THREE, ["a0", "a1", "a2"]),
        (DeadContainerPolicy(per_container=0), LAST_DEAD, ["a0", "a1"]),
        (DeadContainerPolicy(), LAST_DEAD, ["a0", "a1"]),
        (DeadContainerPolicy(per_container=-1), THREE, []),
        (DeadContainerPolicy(min_age=99.5), THREE, []),
        (DeadContainerPolicy(min_age=99), THREE, ["a0"]),
        (DeadContainerPolicy(per_container=-1, total=2), THREE, ["a0"]),
        (DeadContainerPolicy(per_container=-1, total=2), (*THREE, dead("b", 0)), ["a0", "a1"]),
        (DeadContainerPolicy(total=1), (*THREE, dead("b", 0)), ["a0", "b0", "a1"]),
        (DeadContainerPolicy(total=0), (*LAST_DEAD, dead("b", 0)), ["a0", "b0", "a1"]),
    ],
)
def test_which_ended_attempts_go(
    policy: DeadContainerPolicy, attempts: tuple[DeadContainer, ...], expected: list[str]
) -> None:
    assert sorted(gone(policy, *attempts)) == sorted(expected)


def test_attempts_wait_for_their_age() -> None:
    policy = DeadContainerPolicy(min_age=110)
    assert seconds_to_age(THREE, policy) == 10
    assert seconds_to_age(THREE, DeadContainerPolicy()) is None


def settings(**changes: Any) -> GcSettings:
    values: dict[str, Any] = {
        "high_percent": 85,
        "low_percent": 80,
        "min_age": 120.0,
        "max_age": 0.0,
        "per_container": 1,
        "total": -1,
        "container_min_age": 0.0,
    }
    return gc_settings(**{**values, **changes})


def test_the_defaults_are_the_kubelets() -> None:
    assert settings() == GcSettings()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"high_percent": 101}, "imageGCHighThresholdPercent: 101 must be between 0 and 100"),
        ({"low_percent": -1}, "imageGCLowThresholdPercent: -1 must be between 0 and 100"),
        ({"low_percent": 85}, "imageGCLowThresholdPercent: 85 must be less than"),
        ({"max_age": 60.0}, "imageMaximumGCAge: 60s must be greater than imageMinimumGCAge"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**changes)
