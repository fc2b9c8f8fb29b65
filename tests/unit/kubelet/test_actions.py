"""What to do next: the table is the Pod lifecycle documentation.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ and .../init-containers/
"""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import core_v1
from minipod.kubelet.pods.actions import Held, PodActions, Start
from minipod.runtime.types import ContainerStatus
from tests.unit.kubelet.deciding import decide, names, pod_of
from tests.unit.kubelet.records import NOW, SECOND, created, ended, running, sandbox

# -- a birth -------------------------------------------------------------------------------------------------------


def test_a_new_pod_gets_a_sandbox_and_all_its_containers_at_once() -> None:
    assert decide(pod_of(names="a b"), None) == PodActions(
        create_sandbox=True, start=(Start("a", 0, 0.0), Start("b", 0, 0.0))
    )


def test_a_new_pod_with_init_containers_gets_a_sandbox_and_the_first_of_them() -> None:
    assert decide(pod_of(init="i1 i2"), None) == PodActions(create_sandbox=True, start=(Start("i1"),))


def test_a_pod_that_runs_is_left_alone() -> None:
    found = decide(pod_of(names="a b"), sandbox(running("a"), running("b")))
    assert found == PodActions()
    assert found.idle
    assert found.wake_at is None


def test_a_container_a_killed_daemon_made_but_did_not_start_is_no_restart() -> None:
    for policy in ("Always", "OnFailure", "Never"):
        found = decide(pod_of(policy), sandbox(created(delay=0)))
        assert found.start == (Start("main", 0, 0.0),)


# -- init containers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ([], "i1"),
        ([running("i1")], None),
        ([ended("i1")], "i2"),
        ([ended("i1"), running("i2")], None),
    ],
)
def test_init_containers_run_one_by_one(done: list[ContainerStatus], expected: str | None) -> None:
    found = decide(pod_of(init="i1 i2"), sandbox(*done))
    assert names(found.start) == ([expected] if expected else [])


def test_containers_start_when_all_init_containers_have_succeeded() -> None:
    found = decide(pod_of(names="a b", init="i1 i2"), sandbox(ended("i1"), ended("i2")))
    assert names(found.start) == ["a", "b"]


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
def test_a_failed_init_container_is_tried_again(policy: str) -> None:
    found = decide(pod_of(policy, init="i1 i2"), sandbox(ended("i1", code=1)))
    assert found.start == (Start("i1", 1, 10.0),)


def test_a_failed_init_container_is_final_when_nothing_restarts() -> None:
    assert decide(pod_of("Never", init="i1 i2"), sandbox(ended("i1", code=1))) == PodActions(over=True)


def test_a_failing_init_container_is_held_back() -> None:
    found = decide(pod_of(init="i1"), sandbox(ended("i1", 1, code=1, delay=10, ago=4)))
    assert found.start == ()
    assert found.held == {"i1": Held(NOW + 6 * SECOND, 10.0)}
    assert found.wake_at == NOW + 6 * SECOND


def test_init_containers_do_not_run_again_when_a_container_restarts() -> None:
    found = decide(pod_of(init="i1"), sandbox(ended("i1"), ended("main", code=1)))
    assert names(found.start) == ["main"]


# -- restarts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "code", "restarted"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policy(policy: str, code: int, restarted: bool) -> None:
    found = decide(pod_of(policy, names="a b"), sandbox(ended("a", code=code), running("b")))
    assert names(found.start) == (["a"] if restarted else [])


@pytest.mark.parametrize(
    ("delay", "ago", "ran", "starts", "next_delay"),
    [
        (0, 0, 1, True, 10),  # the first restart is immediate
        (10, 0, 1, False, 0),
        (10, 9.9, 1, False, 0),
        (10, 10, 1, True, 20),  # then the delay doubles
        (160, 160, 1, True, 300),  # up to five minutes
        (300, 300, 1, True, 300),
        (300, 0, 601, True, 10),  # ten minutes of running are forgiven
        (300, 0, 599, False, 0),
    ],
)
def test_crash_loop_back_off(delay: float, ago: float, ran: float, starts: bool, next_delay: float) -> None:
    found = decide(pod_of(), sandbox(ended(attempt=3, code=1, delay=delay, ago=ago, ran=ran)))
    assert found.start == ((Start("main", 4, next_delay),) if starts else ())
    assert bool(found.held) is not starts


def test_a_clock_that_was_set_back_does_not_hold_a_container_for_ever() -> None:
    found = decide(pod_of(), sandbox(ended(code=1, delay=300, ago=-3600)))
    assert names(found.start) == ["main"]


def test_one_container_is_held_while_another_starts() -> None:
    found = decide(pod_of(names="a b"), sandbox(ended("a", 2, code=1, delay=20), ended("b", code=1)))
    assert names(found.start) == ["b"]
    assert list(found.held) == ["a"]


# -- how a pod ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "over"),
    [
        # name, policies (Always, OnFailure, Never) under which the pod is over
        ((ended("a"), running("b")), (False, False, False)),
        ((ended("a", code=1), running("b")), (False, False, False)),
        ((ended("a"), ended("b")), (False, True, True)),
        ((ended("a"), ended("b", code=1)), (False, False, True)),
        ((ended("a", code=1), ended("b", code=1)), (False, False, True)),
        ((ended("a"),), (False, False, False)),
    ],
)
def test_a_pod_is_over_when_none_of_its_containers_will_run_again(
    there: tuple[ContainerStatus, ...], over: tuple[bool, bool, bool]
) -> None:
    found = [decide(pod_of(p, names="a b"), sandbox(*there)).over for p in ("Always", "OnFailure", "Never")]
    assert found == list(over)


# -- the sandbox is gone -------------------------------------------------------------------------------------------


def test_a_dead_sandbox_is_replaced_and_everything_starts_again() -> None:
    found = decide(
        pod_of(names="a b"), sandbox(ended("a", code=137), ended("b", code=137), ready=False, attempt=1)
    )
    assert (found.kill_sandbox, found.create_sandbox, found.sandbox_attempt) == (True, True, 2)
    assert [(s.name, s.attempt) for s in found.start] == [("a", 1), ("b", 1)]


def test_init_containers_run_again_in_a_new_sandbox() -> None:
    dead = sandbox(ended("i1"), ended("main", code=137), ready=False)
    found = decide(pod_of(init="i1"), dead)
    assert found.start == (Start("i1", 1, 10.0),)


def test_on_failure_does_not_run_again_what_has_succeeded() -> None:
    dead = sandbox(ended("a"), ended("b", code=137), ready=False)
    assert names(decide(pod_of("OnFailure", names="a b"), dead).start) == ["b"]


@pytest.mark.parametrize(
    ("policy", "containers"),
    [
        ("Never", (ended("a", code=137), ended("b", code=0))),
        ("OnFailure", (ended("a"), ended("b"))),
        ("Never", (ended("a"),)),  # b was never started, and now never will be
    ],
)
def test_a_pod_that_need_not_run_again_gets_no_sandbox(
    policy: str, containers: tuple[ContainerStatus, ...]
) -> None:
    found = decide(pod_of(policy, names="a b"), sandbox(*containers, ready=False))
    assert found == PodActions(kill_sandbox=True, over=True)
    assert decide(pod_of(policy, names="a b", status=_as_status(containers)), None) == PodActions(over=True)


def _as_status(containers: tuple[ContainerStatus, ...]) -> dict[str, Any]:
    return {
        "containerStatuses": [
            {
                "name": c.name,
                "image": "",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": {"exitCode": c.exit.code if c.exit else 0}},
            }
            for c in containers
        ]
    }


def test_a_dead_sandbox_waits_with_the_back_off_of_its_containers() -> None:
    dead = sandbox(ended(attempt=2, code=137, delay=40, ago=10), ready=False)
    found = decide(pod_of(), dead)
    assert (found.kill_sandbox, found.create_sandbox) == (True, False)
    assert found.wake_at == NOW + 30 * SECOND


# -- after a reboot, the Pod's status is all that is known ---------------------------------------------------------


def rebooted(policy: str, state: dict[str, Any], *, restarts: int = 2, init: str = "") -> core_v1.Pod:
    status = {
        "name": "main",
        "image": "x",
        "imageID": "y",
        "ready": True,
        "restartCount": restarts,
        "state": state,
    }
    return pod_of(policy, init=init, status={"phase": "Running", "containerStatuses": [status]})


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def test_after_a_reboot_a_container_that_ran_is_restarted_at_once() -> None:
    for policy in ("Always", "OnFailure"):
        found = decide(rebooted(policy, RUNNING), None)
        assert found.create_sandbox
        assert [(s.name, s.attempt) for s in found.start] == [("main", 3)]


def test_after_a_reboot_a_pod_that_never_restarts_is_over() -> None:
    assert decide(rebooted("Never", RUNNING), None) == PodActions(over=True)


def test_after_a_reboot_what_had_succeeded_stays_so() -> None:
    done = {"terminated": {"exitCode": 0}}
    assert decide(rebooted("OnFailure", done), None) == PodActions(over=True)
    assert names(decide(rebooted("Always", done), None).start) == ["main"]


def test_in_the_sandbox_made_after_a_reboot_what_had_succeeded_is_not_run_again() -> None:
    made = pod_of(
        "OnFailure",
        names="a b",
        init="i1",
        status={
            "containerStatuses": [
                {"name": n, "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": s}
                for n, s in (("a", {"terminated": {"exitCode": 0}}), ("b", RUNNING))
            ]
        },
    )
    found = decide(made, sandbox(ended("i1", 1)))
    assert [(s.name, s.attempt) for s in found.start] == [("b", 1)]
