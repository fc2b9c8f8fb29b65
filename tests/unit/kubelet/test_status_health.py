"""What hooks, probes, sidecars and gates make of a pod's status.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ and .../sidecar-containers/
"""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import codec, core_v1
from minipod.kubelet.pods.health import Health, Unhealthy
from minipod.kubelet.status.generate import Failed, PodView, Waiting, generate_status
from minipod.kubelet.status.records import histories
from minipod.runtime.types import ContainerStatus, SandboxStatus
from tests.unit.kubelet.pods import container, pod
from tests.unit.kubelet.records import api_status, created, ended, running, sandbox

T0 = "2026-01-01T00:00:00Z"
NOT_HOOKED = Health(hooked=False)
NOT_STARTED = Health(started=False, ready=False)
NOT_READY = Health(ready=False)
CRASH = Waiting("CrashLoopBackOff", "back-off 10s restarting failed container")


def status_of(
    made: core_v1.Pod, *there: ContainerStatus, messages: dict[str, str] | None = None, **view: Any
) -> core_v1.PodStatus:
    found: SandboxStatus = sandbox(*there)
    known = histories(made, found, messages=messages or {})
    return generate_status(made, PodView(histories=known, sandbox_ready=True, **view), now=T0)


def pod_of(policy: str = "Always", init: str = "", main: str = "main", **fields: Any) -> core_v1.Pod:
    """Init containers whose name begins with s are sidecars."""
    return pod(
        *map(container, main.split()),
        initContainers=[
            container(n, restartPolicy="Always") if n.startswith("s") else container(n) for n in init.split()
        ],
        restartPolicy=policy,
        **fields,
    )


def condition(status: core_v1.PodStatus, type_: str) -> tuple[str, str | None, str | None]:
    found = next(c for c in status.conditions if c.type == type_)
    return found.status, found.reason, found.message


def state(status: core_v1.ContainerStatus) -> str:
    assert status.state is not None
    return next(s for s in ("waiting", "running", "terminated") if getattr(status.state, s) is not None)


# -- started and ready ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (Health(), ("running", True, True)),
        (NOT_STARTED, ("running", False, False)),
        (Health(started=False), ("running", False, False)),
        (NOT_READY, ("running", True, False)),
        (NOT_HOOKED, ("waiting", False, False)),
    ],
)
@pytest.mark.parametrize("kind", ["main", "sidecar"])
def test_started_and_ready_are_what_the_probes_say(
    kind: str, health: Health, expected: tuple[str, bool, bool]
) -> None:
    made = pod_of(init="s" if kind == "sidecar" else "")
    name = "s" if kind == "sidecar" else "main"
    status = status_of(made, running(name), health={f"{name}-0": health})
    found = status.initContainerStatuses[0] if kind == "sidecar" else status.containerStatuses[0]
    assert (state(found), found.started, found.ready) == expected


@pytest.mark.parametrize(("init", "reason"), [("", "ContainerCreating"), ("i", "PodInitializing")])
def test_a_container_is_not_running_before_its_post_start_hook_is_over(init: str, reason: str) -> None:
    status = status_of(pod_of(init=init), ended("i"), running(), health={"main-0": NOT_HOOKED})
    found = status.containerStatuses[0]
    assert found.state == core_v1.ContainerState(waiting=core_v1.ContainerStateWaiting(reason=reason))
    assert status.phase == "Pending"
    assert condition(status, "Ready")[0] == "False"


def test_a_hook_of_a_restarted_container_leaves_the_pod_running() -> None:
    there = (ended(code=1), running(attempt=1))
    status = status_of(pod_of(), *there, health={"main-1": NOT_HOOKED})
    assert (status.phase, state(status.containerStatuses[0])) == ("Running", "waiting")
    assert status.containerStatuses[0].lastState is not None


def test_readiness_moves_ready_and_containers_ready_only() -> None:
    well, not_ready = (status_of(pod_of(), running(), health={"main-0": h}) for h in (Health(), NOT_READY))
    changed = [
        a.type for a, b in zip(well.conditions, not_ready.conditions, strict=True) if a.status != b.status
    ]
    assert changed == ["Ready", "ContainersReady"]
    assert condition(not_ready, "Ready") == (
        "False",
        "ContainersNotReady",
        "containers with unready status: [main]",
    )
    assert not_ready.phase == "Running"


def test_a_container_that_is_being_killed_runs_until_it_has_ended() -> None:
    ill = Health(unhealthy=Unhealthy(message="ill"))
    assert state(status_of(pod_of(), running(), health={"main-0": ill}).containerStatuses[0]) == "running"


# -- sidecars ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "health", "phase", "initialized"),
    [
        ((), {}, "Pending", "False"),
        ((created("s"),), {}, "Pending", "False"),
        ((running("s"),), {"s-0": NOT_STARTED}, "Pending", "False"),
        ((running("s"),), {"s-0": NOT_HOOKED}, "Pending", "False"),
        ((running("s"),), {"s-0": NOT_READY}, "Pending", "True"),
        ((running("s"), running("main")), {}, "Running", "True"),
        ((ended("s", code=1), running("main")), {}, "Running", "True"),
        ((running("s", 1), running("main")), {"s-1": NOT_STARTED}, "Running", "True"),
        ((running("s"), ended("main", code=1)), {}, "Running", "True"),
    ],
)
def test_a_sidecar_counts_as_initialized_once_it_has_started(
    there: tuple[ContainerStatus, ...], health: dict[str, Health], phase: str, initialized: str
) -> None:
    status = status_of(pod_of(init="s"), *there, health=health)
    assert (status.phase, condition(status, "Initialized")[0]) == (phase, initialized)


def test_a_pod_is_ready_only_when_its_sidecars_are() -> None:
    made = pod_of(init="s i")
    there = (running("s"), ended("i"), running("main"))
    assert condition(status_of(made, *there), "Ready")[0] == "True"
    found = condition(status_of(made, *there, health={"s-0": NOT_READY}), "Ready")
    assert found == ("False", "ContainersNotReady", "containers with unready status: [s]")


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (1, "Failed")])
def test_no_phase_is_final_while_a_sidecar_runs(code: int, phase: str) -> None:
    made = pod_of("Never", init="s")
    for terminal in (False, True):
        status = status_of(made, running("s"), ended(code=code), terminal=terminal)
        assert status.phase == "Running"
    assert status_of(made, ended("s", code=137), ended(code=code), terminal=True).phase == phase
    assert status_of(made, ended("s", code=137), ended(code=code)).phase == phase


def test_a_pod_whose_initialization_failed_is_pending_until_its_sidecar_has_ended() -> None:
    made = pod_of("Never", init="s i")
    assert status_of(made, running("s"), ended("i", code=1)).phase == "Pending"
    assert status_of(made, ended("s"), ended("i", code=1), terminal=True).phase == "Failed"


# -- ends ----------------------------------------------------------------------------------------------------------


def test_the_kubelets_own_failure_is_shown_when_nothing_runs_any_more() -> None:
    late = Failed("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
    made = pod_of()
    made.status.phase = "Running"
    status = status_of(made, running(), failed=late, terminal=True)
    assert (status.phase, status.reason) == ("Running", None)
    assert condition(status, "Ready") == ("False", "PodFailed", None)
    assert condition(status, "PodReadyToStartContainers")[0] == "True"
    status = status_of(made, ended(code=143), failed=late, terminal=True)
    assert (status.phase, status.reason, status.message) == ("Failed", late.reason, late.message)
    assert condition(status, "PodReadyToStartContainers")[0] == "False"


def test_a_final_phase_is_for_ever() -> None:
    for phase in ("Succeeded", "Failed"):
        made = pod_of()
        made.status.phase = phase
        assert status_of(made, running()).phase == phase


def test_a_container_that_never_ran_of_a_pod_that_ended_shows_an_error() -> None:
    status = status_of(pod_of("Never", main="a b"), ended("a"), terminal=True)
    found = status.containerStatuses[1].state
    assert found is not None
    assert found.terminated is not None
    assert (found.terminated.reason, found.terminated.exitCode) == ("ContainerStatusUnknown", 137)
    assert status.phase == "Failed"


def test_a_container_that_an_init_container_kept_from_running_just_waits() -> None:
    status = status_of(pod_of("Never", init="i"), ended("i", code=1), terminal=True)
    assert (state(status.containerStatuses[0]), status.phase) == ("waiting", "Failed")


@pytest.mark.parametrize(
    ("known", "phase"),
    [({}, "Succeeded"), ({"restarts": {"main"}}, "Running"), ({"unwell": {"main-0"}}, "Running")],
)
def test_a_container_that_will_run_again_keeps_the_pod_from_its_final_phase(
    known: dict[str, Any], phase: str
) -> None:
    assert status_of(pod_of("OnFailure"), ended(), **known).phase == phase


def test_a_changed_image_keeps_the_pod_from_its_final_phase() -> None:
    assert status_of(pod_of("Never"), ended(hash_="older")).phase == "Running"


def test_the_policies_of_containers_count_for_the_phase() -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    made = pod(container(restartPolicy="Never", restartPolicyRules=rules), restartPolicy="Never")
    assert status_of(made, ended(code=42)).phase == "Running"
    assert status_of(made, ended(code=1)).phase == "Failed"
    made = pod(container(restartPolicy="Never"), restartPolicy="Always")
    assert status_of(made, ended()).phase == "Succeeded"


# -- last words ----------------------------------------------------------------------------------------------------


def message_of(status: core_v1.PodStatus) -> str | None:
    found = status.containerStatuses[0].state
    assert found is not None
    assert found.terminated is not None
    return found.terminated.message


def test_a_termination_message_is_kept_by_the_api_when_nobody_else_has_it_any_more() -> None:
    made = pod_of("Never")
    made.status = status_of(made, ended(), messages={"main-0": "bye"})
    assert message_of(made.status) == "bye"
    for messages in ({}, {"main-0": ""}):
        assert message_of(status_of(made, ended(), messages=messages)) == "bye"
    known = histories(made, None)
    assert known["main"].latest.message == "bye"


# -- readiness gates (KEP-580) -------------------------------------------------------------------------------------

GATE = "example.test/gate"


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (
            None,
            (
                "False",
                "ReadinessGatesNotReady",
                f'corresponding condition of pod readiness gate "{GATE}" does not exist.',
            ),
        ),
        (
            "False",
            (
                "False",
                "ReadinessGatesNotReady",
                f'the status of pod readiness gate "{GATE}" is not "True", but False',
            ),
        ),
        ("True", ("True", None, None)),
    ],
)
def test_a_pod_is_ready_only_when_the_conditions_of_its_gates_are_true(
    known: str | None, expected: tuple[str, str | None, str | None]
) -> None:
    made = pod_of(readinessGates=[{"conditionType": GATE}])
    made.status.conditions = [core_v1.PodCondition(type=GATE, status=known)] if known else []
    status = status_of(made, running())
    assert condition(status, "Ready") == expected
    assert condition(status, "ContainersReady")[0] == "True"


def test_gates_do_not_hide_that_containers_are_not_ready() -> None:
    made = pod_of(readinessGates=[{"conditionType": GATE}])
    status = status_of(made, running(), health={"main-0": NOT_READY})
    assert condition(status, "Ready")[1] == "ContainersNotReady"


# -- ephemeral containers ------------------------------------------------------------------------------------------


def debugged(policy: str = "Always") -> core_v1.Pod:
    return pod_of(policy, ephemeralContainers=[container("debug")])


@pytest.mark.parametrize(
    ("there", "expected"),
    [((), "waiting"), ((running("debug"),), "running"), ((ended("debug", code=3),), "terminated")],
)
def test_ephemeral_containers_have_statuses_of_their_own_and_count_for_nothing(
    there: tuple[ContainerStatus, ...], expected: str
) -> None:
    status = status_of(debugged(), running(), *there)
    (found,) = status.ephemeralContainerStatuses
    assert (state(found), found.ready, found.started) == (expected, False, None)
    plain = status_of(pod_of(), running())
    assert (status.phase, codec.encode(status.conditions)) == ("Running", codec.encode(plain.conditions))


def test_a_running_ephemeral_container_delays_the_final_phase_until_it_is_stopped() -> None:
    """As in the kubelet, whose status manager shows no final phase while any container may run."""
    assert status_of(debugged("Never"), ended(), running("debug")).phase == "Running"
    assert status_of(debugged("Never"), ended(), ended("debug", code=137)).phase == "Succeeded"


def test_restart_counts_go_on_when_only_the_api_remembers() -> None:
    made = pod_of()
    made.status.containerStatuses = [
        api_status(
            restarts=7,
            state=core_v1.ContainerState(running=core_v1.ContainerStateRunning(startedAt=T0)),
        )
    ]
    assert histories(made, None)["main"].latest.attempt == 7
    status = generate_status(made, PodView(histories=histories(made, None), waiting={"main": CRASH}), now=T0)
    assert status.containerStatuses[0].restartCount == 7


# -- resizes (KEP-1287) --------------------------------------------------------------------------------------------


def test_a_resize_is_shown_as_long_as_it_is_told_and_no_longer() -> None:
    made = pod_of()
    said = core_v1.PodCondition(type="PodResizeInProgress", status="True", lastTransitionTime=T0)
    force = core_v1.ResourceRequirements(requests={"cpu": "100m"})
    made.status = status_of(made, running(), conditions=[said], resources={"main": ({"cpu": "200m"}, force)})
    assert condition(made.status, "PodResizeInProgress")[0] == "True"
    shown = made.status.containerStatuses[0]
    assert (shown.allocatedResources, shown.resources) == ({"cpu": "200m"}, force)
    after = status_of(made, running())
    assert "PodResizeInProgress" not in {c.type for c in after.conditions}


def test_conditions_of_other_writers_follow_the_api() -> None:
    made = pod_of()
    for status in ("True", "False"):
        made.status.conditions = [core_v1.PodCondition(type=GATE, status=status)]
        assert condition(status_of(made, running()), GATE)[0] == status
