"""PodStatus: phase, conditions and container states, by the Pod lifecycle documentation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.api import codec, core_v1
from minipod.kubelet.status.generate import Failed, PodView, Waiting, generate_status
from minipod.kubelet.status.records import histories
from minipod.runtime.types import ContainerStatus, SandboxStatus, StartFailure
from tests.unit.kubelet.pods import container, pod
from tests.unit.kubelet.records import created, ended, running, sandbox

T0, T1 = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"

NO_SUCH_FILE = StartFailure(stage="exec", errno=2, operand="/x", message="exec /x: no such file")
CRASH = Waiting("CrashLoopBackOff", "back-off 10s restarting failed container")


def status_of(
    made: core_v1.Pod, found: SandboxStatus | None, *, now: str = T0, **view: Any
) -> core_v1.PodStatus:
    ready = found is not None
    return generate_status(
        made, PodView(histories=histories(made, found), sandbox_ready=ready, **view), now=now
    )


def pod_of(policy: str, names: str = "a b", init: str = "") -> core_v1.Pod:
    return pod(
        *map(container, names.split()),
        initContainers=list(map(container, init.split())),
        restartPolicy=policy,
    )


def conditions(status: core_v1.PodStatus) -> dict[str, str]:
    return {c.type: c.status for c in status.conditions}


# -- phase ---------------------------------------------------------------------------------------------------------

OK, BAD = 0, 1

PHASES: list[tuple[str, str, tuple[ContainerStatus, ...], tuple[str, str, str]]] = [
    # name, init containers, what is there, phase under (Always, OnFailure, Never)
    ("nothing started", "", (), ("Pending", "Pending", "Pending")),
    ("one of two started", "", (running("a"),), ("Pending", "Pending", "Pending")),
    ("made, not started", "", (created("a"), running("b")), ("Pending", "Pending", "Pending")),
    ("both run", "", (running("a"), running("b")), ("Running", "Running", "Running")),
    ("one succeeded, one runs", "", (ended("a"), running("b")), ("Running", "Running", "Running")),
    ("one failed, one runs", "", (ended("a", code=BAD), running("b")), ("Running", "Running", "Running")),
    ("both succeeded", "", (ended("a"), ended("b")), ("Running", "Succeeded", "Succeeded")),
    ("one failed", "", (ended("a"), ended("b", code=BAD)), ("Running", "Running", "Failed")),
    ("both failed", "", (ended("a", code=BAD), ended("b", code=BAD)), ("Running", "Running", "Failed")),
    ("an init container runs", "i", (running("i"),), ("Pending", "Pending", "Pending")),
    ("an init container failed", "i", (ended("i", code=BAD),), ("Pending", "Pending", "Failed")),
    ("the init container is done", "i", (ended("i"),), ("Pending", "Pending", "Pending")),
    (
        "initialized and running",
        "i",
        (ended("i"), running("a"), running("b")),
        ("Running", "Running", "Running"),
    ),
    (
        "initialized and done",
        "i",
        (ended("i"), ended("a"), ended("b")),
        ("Running", "Succeeded", "Succeeded"),
    ),
]


@pytest.mark.parametrize(
    ("init", "there", "phases"), [row[1:] for row in PHASES], ids=[r[0] for r in PHASES]
)
def test_phase(init: str, there: tuple[ContainerStatus, ...], phases: tuple[str, str, str]) -> None:
    found = [
        status_of(pod_of(policy, init=init), sandbox(*there)).phase
        for policy in ("Always", "OnFailure", "Never")
    ]
    assert found == list(phases)


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
def test_a_container_that_waits_for_its_restart_leaves_the_pod_running(policy: str) -> None:
    found = status_of(pod_of(policy, "a"), sandbox(ended("a", 1, code=1)), waiting={"a": CRASH})
    assert found.phase == "Running"


@pytest.mark.parametrize(
    ("there", "phase"),
    [
        ((ended("a"), ended("b")), "Succeeded"),
        ((ended("a"), ended("b", code=143)), "Failed"),
        ((ended("a"),), "Failed"),  # b never ran
        ((), "Failed"),
    ],
)
@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_a_pod_that_is_ended_from_outside_is_always_over(
    policy: str, there: tuple[ContainerStatus, ...], phase: str
) -> None:
    assert status_of(pod_of(policy), sandbox(*there), terminal=True).phase == phase


def test_what_the_kubelet_failed_has_its_reason() -> None:
    found = status_of(pod_of("Always"), None, failed=Failed("DeadlineExceeded", "too long"), terminal=True)
    assert (found.phase, found.reason, found.message) == ("Failed", "DeadlineExceeded", "too long")


container_fates = st.sampled_from(["absent", "created", "running", "ok", "bad"])
MAKERS = {
    "created": created,
    "running": running,
    "ok": ended,
    "bad": lambda name: ended(name, code=1),
}


@given(st.lists(container_fates, min_size=1, max_size=4), st.sampled_from(["Always", "OnFailure", "Never"]))
def test_failed_means_that_every_container_has_ended_and_one_has_failed(
    fates: list[str], policy: str
) -> None:
    names = [f"c{i}" for i in range(len(fates))]
    there = [MAKERS[f](n) for n, f in zip(names, fates, strict=True) if f != "absent"]
    phase = status_of(pod_of(policy, " ".join(names)), sandbox(*there)).phase
    over = all(f in ("ok", "bad") for f in fates)
    assert (phase == "Failed") == (over and "bad" in fates and policy == "Never")
    assert (phase == "Succeeded") == (over and "bad" not in fates and policy != "Always")
    assert (phase == "Pending") == any(f in ("absent", "created") for f in fates)


# -- conditions ----------------------------------------------------------------------------------------------------

TRUE, FALSE = "True", "False"
ORDER = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


@pytest.mark.parametrize(
    ("init", "found", "expected"),
    [
        ("", None, (FALSE, TRUE, FALSE, FALSE, TRUE)),
        ("i", None, (FALSE, FALSE, FALSE, FALSE, TRUE)),
        ("i", sandbox(running("i")), (TRUE, FALSE, FALSE, FALSE, TRUE)),
        ("i", sandbox(ended("i")), (TRUE, TRUE, FALSE, FALSE, TRUE)),
        ("", sandbox(running("a")), (TRUE, TRUE, FALSE, FALSE, TRUE)),
        ("", sandbox(running("a"), running("b")), (TRUE, TRUE, TRUE, TRUE, TRUE)),
        ("", sandbox(ended("a"), running("b")), (TRUE, TRUE, FALSE, FALSE, TRUE)),
    ],
)
def test_conditions(init: str, found: SandboxStatus | None, expected: tuple[str, ...]) -> None:
    status = status_of(pod_of("Always", init=init), found)
    assert tuple(conditions(status)[c] for c in ORDER) == expected


def test_conditions_name_what_is_missing() -> None:
    status = status_of(pod_of("Always", init="i j"), sandbox(ended("i")))
    by_type = {c.type: c for c in status.conditions}
    assert by_type["Initialized"].reason == "ContainersNotInitialized"
    assert by_type["Initialized"].message == "containers with incomplete status: [j]"
    assert by_type["Ready"].reason == "ContainersNotReady"
    assert by_type["Ready"].message == "containers with unready status: [a b]"


@pytest.mark.parametrize(("code", "reason"), [(0, "PodCompleted"), (1, "PodFailed")])
def test_conditions_of_a_pod_that_is_over(code: int, reason: str) -> None:
    status = status_of(pod_of("Never", "a"), sandbox(ended("a", code=code)))
    by_type = {c.type: c for c in status.conditions}
    assert (by_type["Ready"].status, by_type["Ready"].reason) == (FALSE, reason)
    assert by_type["ContainersReady"].reason == reason
    assert by_type["PodReadyToStartContainers"].status == FALSE


def test_a_transition_is_dated_only_when_the_status_changes() -> None:
    made = pod_of("Always", "a")
    made.status = status_of(made, None, now=T0)
    status = status_of(made, sandbox(running("a")), now=T1)
    times = {c.type: c.lastTransitionTime for c in status.conditions}
    assert times["PodScheduled"] == T0
    assert times["Ready"] == T1


def test_conditions_of_other_writers_are_kept() -> None:
    made = pod_of("Always", "a")
    made.status.conditions = [core_v1.PodCondition(type="example.test/gate", status="True")]
    assert conditions(status_of(made, None))["example.test/gate"] == TRUE


def test_the_generation_that_was_seen_is_reported() -> None:
    made = pod_of("Always", "a")
    made.metadata.generation = 4
    status = status_of(made, None)
    assert status.observedGeneration == 4
    assert {c.observedGeneration for c in status.conditions} == {4}


# -- containers ----------------------------------------------------------------------------------------------------


def main_status(
    found: SandboxStatus | None, made: core_v1.Pod | None = None, **view: Any
) -> core_v1.ContainerStatus:
    return status_of(made or pod_of("Always", "a"), found, **view).containerStatuses[0]


def test_a_container_that_has_not_started() -> None:
    status = main_status(None)
    assert status.state == core_v1.ContainerState(
        waiting=core_v1.ContainerStateWaiting(reason="ContainerCreating")
    )
    assert (status.ready, status.started, status.restartCount) == (False, False, 0)
    assert main_status(None, pod_of("Always", "a", init="i")).state == core_v1.ContainerState(
        waiting=core_v1.ContainerStateWaiting(reason="PodInitializing")
    )


def test_a_running_container() -> None:
    status = main_status(sandbox(running("a", 2)))
    assert status.state is not None
    assert status.state.running is not None
    assert status.state.running.startedAt == "2026-09-21T14:13:20Z"
    assert (status.ready, status.started, status.restartCount) == (True, True, 2)
    assert status.containerID == "minipod://a-2"
    assert (status.image, status.imageID) == ("minipod/base", "sha256:1")


def test_the_attempt_before_is_the_last_state() -> None:
    status = main_status(sandbox(ended("a", 0, code=3), running("a", 1)))
    assert status.lastState is not None
    assert status.lastState.terminated is not None
    assert status.lastState.terminated.exitCode == 3


@pytest.mark.parametrize(
    ("container_", "code", "signal", "reason"),
    [
        (ended("a"), 0, None, "Completed"),
        (ended("a", code=4), 4, None, "Error"),
        (ended("a", code=137), 137, 9, "Error"),
        (ended("a", code=137, oom=True), 137, 9, "OOMKilled"),
        (ended("a", code=127, failure=NO_SUCH_FILE), 128, None, "StartError"),
    ],
)
def test_a_terminated_container(
    container_: ContainerStatus, code: int, signal: int | None, reason: str
) -> None:
    status = main_status(sandbox(container_), pod_of("Never", "a"))
    assert status.state is not None
    ended_ = status.state.terminated
    assert ended_ is not None
    assert (ended_.exitCode, ended_.signal, ended_.reason) == (code, signal, reason)
    assert ended_.finishedAt
    assert bool(ended_.startedAt) is (reason != "StartError")
    if reason == "StartError":
        assert ended_.message == "exec /x: no such file"


def test_a_crash_loop_waits_and_remembers_the_last_end() -> None:
    status = main_status(sandbox(ended("a", 1, code=1)), waiting={"a": CRASH})
    assert status.state is not None
    assert status.state.waiting is not None
    assert status.state.waiting.reason == "CrashLoopBackOff"
    assert status.lastState is not None
    assert status.lastState.terminated is not None
    assert status.lastState.terminated.containerID == "minipod://a-1"
    assert status.restartCount == 1


def test_a_pod_that_is_over_shows_how_its_containers_ended() -> None:
    status = main_status(sandbox(ended("a", code=143)), waiting={"a": CRASH}, terminal=True)
    assert status.state is not None
    assert status.state.terminated is not None


def test_init_containers_are_ready_once_they_have_succeeded() -> None:
    made = pod_of("Always", "a", init="i")
    assert not status_of(made, sandbox(running("i"))).initContainerStatuses[0].ready
    assert status_of(made, sandbox(ended("i"))).initContainerStatuses[0].ready


def test_after_a_reboot_a_running_container_is_one_that_could_not_be_located() -> None:
    made = pod_of("Never", "a")
    made.status = status_of(made, sandbox(running("a", 1)))
    status = status_of(made, None, terminal=True)
    assert status.phase == "Failed"
    state = status.containerStatuses[0].state
    assert state is not None
    assert state.terminated is not None
    assert (state.terminated.exitCode, state.terminated.reason) == (137, "ContainerStatusUnknown")


def test_a_status_computed_twice_from_the_same_is_the_same() -> None:
    made = pod_of("Always")
    found = sandbox(running("a"), ended("b", 1, code=1))
    made.status = status_of(made, found, waiting={"b": CRASH})
    again = status_of(made, found, waiting={"b": CRASH}, now=T1)
    assert codec.encode(again) == codec.encode(made.status)


def test_a_status_survives_the_loss_of_the_runtimes_records() -> None:
    """What is on record in the API is enough once a pod is over and its sandbox is gone."""
    made = pod_of("Never")
    made.status = status_of(made, sandbox(ended("a"), ended("b", code=2)), terminal=True)
    again = status_of(made, None, terminal=True, now=T1)
    assert codec.encode(again.containerStatuses) == codec.encode(made.status.containerStatuses)
    assert again.phase == made.status.phase == "Failed"
