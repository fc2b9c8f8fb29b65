"""The steps by which a container ends: hook, turn, signal, kill, all in one grace period."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minipod.kubelet.pods.stopping import EXTENSION, Hook, Next, Step, Stop, next_step, stop_order
from tests.unit.kubelet.pods import container, pod
from tests.unit.kubelet.records import NOW, SECOND

STOP = Stop(id="1", name="main", began=NOW)
END = NOW + 30 * SECOND


@pytest.mark.parametrize(
    ("stop", "now", "end", "expected"),
    [
        # without a hook: the signal at once, the kill at the end of the grace period
        (STOP, NOW, END, Next(Step.SIGNAL)),
        (replace(STOP, signalled_at=NOW), NOW, END, Next(Step.WAIT, END)),
        (replace(STOP, signalled_at=NOW), END, END, Next(Step.KILL)),
        (replace(STOP, signalled_at=NOW, killed=True), END, END, Next(Step.WAIT)),
        # no grace period at all
        (STOP, NOW, NOW, Next(Step.KILL)),
        (replace(STOP, hook=Hook.DUE), NOW, NOW, Next(Step.KILL)),
        # a grace period cut short to nothing in the middle of a hook
        (replace(STOP, hook=Hook.RUNNING), NOW + SECOND, NOW, Next(Step.KILL)),
        # the hook comes first and counts into the grace period
        (replace(STOP, hook=Hook.DUE), NOW, END, Next(Step.RUN_HOOK)),
        (replace(STOP, hook=Hook.RUNNING), NOW + SECOND, END, Next(Step.WAIT, END)),
        (replace(STOP, hook=Hook.OVER), NOW + SECOND, END, Next(Step.SIGNAL)),
        (replace(STOP, hook=Hook.OVER, signalled_at=NOW + SECOND), NOW + SECOND, END, Next(Step.WAIT, END)),
        # a hook that uses it all up leaves the documented two seconds
        (replace(STOP, hook=Hook.RUNNING), END, END, Next(Step.SIGNAL)),
        (replace(STOP, hook=Hook.RUNNING, signalled_at=END), END, END, Next(Step.WAIT, END + EXTENSION)),
        (
            replace(STOP, hook=Hook.OVER, signalled_at=END - SECOND),
            END,
            END,
            Next(Step.WAIT, END + SECOND),
        ),
        (replace(STOP, hook=Hook.RUNNING, signalled_at=END), END + EXTENSION, END, Next(Step.KILL)),
        # two seconds are no gift to a container that had no hook
        (replace(STOP, signalled_at=END - SECOND), END, END, Next(Step.KILL)),
    ],
)
def test_next_step(stop: Stop, now: int, end: int, expected: Next) -> None:
    assert next_step(stop, now=now, end=end, running={"main"}) == expected


def test_a_sidecar_gets_its_signal_when_those_it_serves_have_ended() -> None:
    stop = replace(STOP, name="proxy", after=frozenset({"main"}))
    assert next_step(stop, now=NOW, end=END, running={"main", "proxy"}) == Next(Step.WAIT, END)
    assert next_step(stop, now=NOW, end=END, running={"proxy"}) == Next(Step.SIGNAL)


def test_its_pre_stop_hook_does_not_wait_for_its_turn() -> None:
    stop = replace(STOP, name="proxy", after=frozenset({"main"}), hook=Hook.DUE)
    assert next_step(stop, now=NOW, end=END, running={"main", "proxy"}) == Next(Step.RUN_HOOK)


def test_a_sidecar_that_never_had_its_turn_gets_the_signal_at_the_end_and_two_seconds() -> None:
    stop = replace(STOP, name="proxy", after=frozenset({"main"}))
    assert next_step(stop, now=END, end=END, running={"main", "proxy"}) == Next(Step.SIGNAL)
    late = replace(stop, signalled_at=END)
    assert next_step(late, now=END, end=END, running={"proxy"}) == Next(Step.WAIT, END + EXTENSION)


def test_sidecars_go_last_in_reverse_order() -> None:
    made = pod(
        container("app"),
        initContainers=[
            container("log", restartPolicy="Always"),
            container("migrate"),
            container("proxy", restartPolicy="Always"),
        ],
    )
    assert stop_order(made) == {
        "proxy": frozenset({"app", "migrate"}),
        "log": frozenset({"app", "migrate", "proxy"}),
    }


def test_a_pod_without_sidecars_has_no_order() -> None:
    assert stop_order(pod(initContainers=[container("migrate")])) == {}
