"""What becomes of one container: kills, hooks, policies of its own, ephemeral ones.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/, .../ephemeral-containers/ and
https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
"""

from __future__ import annotations

import pytest

from minipod.api import core_v1
from minipod.kubelet.pods.actions import Held, Kill, PodActions, Start
from minipod.kubelet.pods.health import Health, Unhealthy
from minipod.runtime.types import ContainerStatus
from tests.unit.kubelet.deciding import decide, names, pod_of
from tests.unit.kubelet.pods import container, pod
from tests.unit.kubelet.records import NOW, SECOND, ended, running, sandbox

# -- kills and what follows them -----------------------------------------------------------------------------------

ILL = Unhealthy(message="Container main failed liveness probe", grace=5)
POLICIES = pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])


@POLICIES
def test_a_changed_image_replaces_the_running_container_whatever_the_policy(policy: str) -> None:
    found = decide(pod_of(policy), sandbox(running(attempt=2, hash_="older")))
    message = "Container main definition changed, will be restarted"
    assert found == PodActions(kill=(Kill("main", "main-2", message),))


@POLICIES
def test_the_new_image_runs_as_soon_as_the_old_one_has_ended(policy: str) -> None:
    old = ended(attempt=2, delay=160, hash_="older")
    assert decide(pod_of(policy), sandbox(old)).start == (Start("main", 3, 10.0),)


@pytest.mark.parametrize(
    ("policy", "suffix"),
    [("Always", ", will be restarted"), ("OnFailure", ", will be restarted"), ("Never", "")],
)
def test_a_container_that_fails_a_probe_is_killed_within_the_probes_grace(policy: str, suffix: str) -> None:
    found = decide(pod_of(policy), sandbox(running()), health={"main-0": Health(unhealthy=ILL)})
    message = f"Container main failed liveness probe{suffix}"
    assert found == PodActions(kill=(Kill("main", "main-0", message, 5),))


def test_a_container_whose_post_start_hook_failed_is_killed() -> None:
    ill = Health(unhealthy=Unhealthy(message="FailedPostStartHook"))
    found = decide(pod_of(), sandbox(running()), health={"main-0": ill})
    assert found.kill == (Kill("main", "main-0", "FailedPostStartHook", to_replace=False),)


@POLICIES
def test_what_is_being_stopped_is_neither_killed_again_nor_started_before_its_end(policy: str) -> None:
    for there in (running(), running(hash_="older")):
        found = decide(
            pod_of(policy),
            sandbox(there),
            health={"main-0": Health(unhealthy=ILL)},
            stopping={"main-0"},
            restarts={"main"},
        )
        assert found == PodActions()


@pytest.mark.parametrize(
    ("policy", "unwell", "again"),
    [
        ("OnFailure", True, True),
        ("OnFailure", False, False),
        ("Never", True, False),
        ("Always", True, True),
    ],
)
def test_the_end_of_a_container_that_failed_a_probe_is_no_success(
    policy: str, unwell: bool, again: bool
) -> None:
    """It was killed for its ill health: that it said goodbye with exit code 0 does not count."""
    found = decide(pod_of(policy), sandbox(ended()), unwell={"main-0"} if unwell else ())
    assert (names(found.start), found.over) == ((["main"], False) if again else ([], True))


def test_a_container_killed_for_its_health_waits_for_its_back_off() -> None:
    found = decide(pod_of(), sandbox(ended(attempt=2, code=137, delay=20)), unwell={"main-2"})
    assert found == PodActions(held={"main": Held(NOW + 20 * SECOND, 20.0)})


@POLICIES
def test_what_a_user_asks_to_restart_is_killed_and_starts_again_at_once(policy: str) -> None:
    running_ = decide(pod_of(policy), sandbox(running()), restarts={"main"})
    assert [k.id for k in running_.kill] == ["main-0"]
    assert running_.start == ()
    again = decide(pod_of(policy), sandbox(ended(attempt=3, delay=300)), restarts={"main"})
    assert again == PodActions(start=(Start("main", 4, 10.0),))


# -- postStart hooks -----------------------------------------------------------------------------------------------

HOOK = {"postStart": {"sleep": {"seconds": 1}}}


def hooked_pod() -> core_v1.Pod:
    return pod(container("a"), container("b", lifecycle=HOOK), container("c"))


def test_containers_after_one_with_a_post_start_hook_are_not_started_with_it() -> None:
    assert names(decide(hooked_pod(), None).start) == ["a", "b"]
    assert names(decide(hooked_pod(), sandbox()).start) == ["a", "b"]


@pytest.mark.parametrize(("hooked", "expected"), [(False, []), (True, ["c"])])
def test_containers_after_it_wait_until_its_post_start_hook_is_over(
    hooked: bool, expected: list[str]
) -> None:
    found = decide(hooked_pod(), sandbox(running("a"), running("b")), health={"b-0": Health(hooked=hooked)})
    assert names(found.start) == expected


def test_a_pending_hook_does_not_hold_back_the_containers_before_it() -> None:
    there = sandbox(ended("a", code=1), running("b"), running("c"))
    assert names(decide(hooked_pod(), there, health={"b-0": Health(hooked=False)}).start) == ["a"]


@pytest.mark.parametrize("there", [(), (ended("b", 1, code=1, delay=20), running("a"))])
def test_a_hook_whose_container_cannot_start_yet_holds_nobody_back(
    there: tuple[ContainerStatus, ...],
) -> None:
    found = decide(hooked_pod(), sandbox(*there), unstartable={"b"})
    assert "c" in names(found.start)


# -- policies and rules of a container's own (KEP-5307) ------------------------------------------------------------


@pytest.mark.parametrize("pod_policy", ["Always", "OnFailure", "Never"])
@pytest.mark.parametrize(
    ("own", "code", "restarted"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_a_containers_own_policy_goes_before_the_pods(
    pod_policy: str, own: str, code: int, restarted: bool
) -> None:
    made = pod(container("a", restartPolicy=own), container("b"), restartPolicy=pod_policy)
    assert names(decide(made, sandbox(ended("a", code=code), running("b"))).start) == (
        ["a"] if restarted else []
    )


@pytest.mark.parametrize(
    ("operator", "values", "code", "restarted"),
    [
        ("In", [42, 43], 42, True),
        ("In", [42], 1, False),
        ("In", [0], 0, True),
        ("NotIn", [0, 1], 2, True),
        ("NotIn", [0, 1], 1, False),
    ],
)
def test_a_rule_for_its_exit_code_restarts_a_container_that_would_not_be(
    operator: str, values: list[int], code: int, restarted: bool
) -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": operator, "values": values}}]
    made = pod(container(restartPolicy="Never", restartPolicyRules=rules), restartPolicy="Never")
    found = decide(made, sandbox(ended(code=code)))
    assert (names(found.start), found.over) == ((["main"], False) if restarted else ([], True))


def test_a_rule_that_does_not_match_leaves_it_to_the_policy() -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    made = pod(container(restartPolicy="OnFailure", restartPolicyRules=rules), restartPolicy="Never")
    assert names(decide(made, sandbox(ended(code=1))).start) == ["main"]


# -- ephemeral containers ------------------------------------------------------------------------------------------


def debugged(policy: str = "Always", init: str = "") -> core_v1.Pod:
    return pod_of(policy, init=init, ephemeralContainers=[container("debug")])


def test_an_ephemeral_container_starts_without_waiting_for_init_containers() -> None:
    found = decide(debugged(init="i1"), sandbox(running("i1")))
    assert found.start == (Start("debug"),)


def test_an_ephemeral_container_waits_for_the_sandbox() -> None:
    assert names(decide(debugged(), None).start) == ["main"]


@pytest.mark.parametrize("there", [running("debug"), ended("debug"), ended("debug", code=1)])
def test_an_ephemeral_container_is_never_restarted(there: ContainerStatus) -> None:
    assert decide(debugged(), sandbox(running(), there)) == PodActions()


def test_an_ephemeral_container_does_not_start_again_in_a_new_sandbox() -> None:
    made = debugged()
    terminated = {"terminated": {"exitCode": 137}}
    made.status.ephemeralContainerStatuses = pod(
        status={"containerStatuses": [{"name": "debug", "restartCount": 0, "state": terminated}]}
    ).status.containerStatuses
    assert decide(made, sandbox(running())) == PodActions()


def test_an_ephemeral_container_does_not_keep_a_pod_alive() -> None:
    for there in ((), (running("debug"),)):
        assert decide(debugged("Never"), sandbox(ended(), *there)) == PodActions(over=True)
