"""How long a pod has to end, and with which signal it is asked."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from minipod.api.timestamps import from_epoch_us
from minipod.kubelet.pods.termination import grace_seconds, kill_at, stop_signal
from tests.unit.kubelet.pods import pod
from tests.unit.kubelet.records import NOW, SECOND

DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("spec", "deletion", "gone", "limit", "expected"),
    [
        (None, None, False, None, 30),
        (5, None, False, None, 5),
        (5, 2, False, None, 2),  # the deletion's own period goes before the spec's
        (5, 60, False, None, 60),
        (0, None, False, None, 0),
        (30, 30, True, None, 1),  # force delete
        (0, 0, True, None, 0),
        (30, None, False, 3, 3),  # minipod down --grace-period
        (2, None, False, 3, 2),
    ],
)
def test_grace(
    spec: int | None, deletion: int | None, gone: bool, limit: float | None, expected: float
) -> None:
    meta: dict[str, Any] = {}
    if deletion is not None:
        meta = {**DELETED, "deletionGracePeriodSeconds": deletion}
    made = pod(metadata=meta, **({} if spec is None else {"terminationGracePeriodSeconds": spec}))
    assert grace_seconds(made, gone=gone, limit=limit) == expected


def deleted(asked_at: int, grace: int) -> Any:
    """A deletion as the API server dates it: its end, in whole seconds."""
    return pod(
        metadata={
            "deletionTimestamp": from_epoch_us(asked_at + grace * SECOND),
            "deletionGracePeriodSeconds": grace,
        }
    )


def test_a_deletion_has_its_whole_grace_period() -> None:
    asked = NOW + 700_000
    assert kill_at(deleted(asked, 10), began=asked, grace=10) == asked + 10 * SECOND


def test_a_deletion_an_earlier_daemon_began_is_not_given_it_twice() -> None:
    asked = NOW - 8 * SECOND
    at = kill_at(deleted(asked, 10), began=NOW, grace=10)
    assert NOW + 2 * SECOND <= at <= NOW + 3 * SECOND


def test_a_deletion_long_overdue_kills_now() -> None:
    assert kill_at(deleted(NOW - 3600 * SECOND, 10), began=NOW, grace=10) == NOW


def test_without_a_deletion_only_the_grace_counts() -> None:
    assert kill_at(pod(), began=NOW, grace=1.5) == NOW + 1_500_000


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("", signal.SIGTERM),
        ("SIGQUIT", signal.SIGQUIT),
        ("QUIT", signal.SIGQUIT),
        ("sigint", signal.SIGINT),
        ("3", 3),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("SIGNONSENSE", signal.SIGTERM),
        ("0", signal.SIGTERM),
        ("999", signal.SIGTERM),
    ],
)
def test_stop_signals(name: str, number: int) -> None:
    assert stop_signal(name) == number
