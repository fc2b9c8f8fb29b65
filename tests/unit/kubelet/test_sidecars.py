"""Init containers and sidecars: order, gates, restarts, ends.

https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/ and .../init-containers/
"""

from __future__ import annotations

import pytest

from minipod.api import core_v1
from minipod.kubelet.pods.actions import Held, Kill, PodActions, Start
from minipod.kubelet.pods.health import Health, Unhealthy
from minipod.runtime.types import ContainerStatus
from tests.unit.kubelet.deciding import decide, names
from tests.unit.kubelet.pods import container, pod
from tests.unit.kubelet.records import NOW, SECOND, created, ended, running, sandbox


def sidecar_pod(policy: str = "Always", init: str = "s i", main: str = "main") -> core_v1.Pod:
    """Init containers whose name begins with s are sidecars."""
    return pod(
        *map(container, main.split()),
        initContainers=[
            container(n, restartPolicy="Always") if n.startswith("s") else container(n) for n in init.split()
        ],
        restartPolicy=policy,
    )


NOT_STARTED = Health(started=False, ready=False)
ILL = Unhealthy(message="Container s failed liveness probe", grace=3)


@pytest.mark.parametrize(
    ("there", "health", "expected"),
    [
        ((), {}, ["s"]),
        ((created("s"),), {}, ["s"]),
        ((running("s"),), {"s-0": NOT_STARTED}, []),
        ((running("s"),), {"s-0": Health(hooked=False)}, []),
        ((running("s"),), {"s-0": Health(ready=False)}, ["i"]),
        ((running("s"),), {}, ["i"]),
        ((running("s"), running("i")), {}, []),
        ((running("s"), ended("i")), {}, ["main"]),
    ],
    ids=[
        "first the sidecar",
        "made but not started",
        "its startup probe has not succeeded",
        "its postStart hook is not over",
        "readiness is no gate",
        "then the next init container",
        "which has to succeed",
        "then the main container",
    ],
)
def test_the_container_after_a_sidecar_waits_until_it_has_started(
    there: tuple[ContainerStatus, ...], health: dict[str, Health], expected: list[str]
) -> None:
    assert names(decide(sidecar_pod(), sandbox(*there), health=health).start) == expected


def test_sidecars_are_started_one_after_the_other_and_before_the_main_containers() -> None:
    made = sidecar_pod(init="s1 s2")
    assert names(decide(made, sandbox(running("s1"))).start) == ["s2"]
    waiting = decide(made, sandbox(running("s1"), running("s2")), health={"s2-0": NOT_STARTED})
    assert waiting == PodActions()
    assert names(decide(made, sandbox(running("s1"), running("s2"))).start) == ["main"]


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
@pytest.mark.parametrize("code", [0, 1])
def test_a_sidecar_is_restarted_whatever_its_exit_and_the_pods_policy(policy: str, code: int) -> None:
    there = sandbox(ended("s", code=code), ended("i"), running("main"))
    assert decide(sidecar_pod(policy), there).start == (Start("s", 1, 10.0),)


def test_a_sidecar_is_restarted_beside_the_init_container_after_it() -> None:
    assert decide(sidecar_pod(), sandbox(ended("s"), running("i"))).start == (Start("s", 1, 10.0),)


def test_what_was_passed_once_gates_nothing_any_more() -> None:
    found = decide(sidecar_pod(), sandbox(ended("s", 1, delay=20), ended("i")))
    assert names(found.start) == ["main"]
    assert found.held == {"s": Held(NOW + 20 * SECOND, 20.0)}


def test_the_next_container_still_waits_for_a_sidecar_that_ended_before_it_could_begin() -> None:
    assert names(decide(sidecar_pod(), sandbox(ended("s"))).start) == ["s"]


def test_a_sidecar_has_the_back_off_of_every_container() -> None:
    found = decide(
        sidecar_pod(), sandbox(ended("s", 3, code=1, delay=40, ago=10), ended("i"), running("main"))
    )
    assert found == PodActions(held={"s": Held(NOW + 30 * SECOND, 40.0)})


@pytest.mark.parametrize("there", [(), (ended("i"), running("main"))], ids=["initializing", "initialized"])
def test_a_sidecar_that_fails_a_probe_is_killed(there: tuple[ContainerStatus, ...]) -> None:
    found = decide(
        sidecar_pod("Never"), sandbox(running("s"), *there), health={"s-0": Health(unhealthy=ILL)}
    )
    assert found.kill == (Kill("s", "s-0", "Init container s failed liveness probe", 3),)
    assert "s" not in names(found.start)


def test_a_sidecar_whose_image_was_changed_is_replaced() -> None:
    found = decide(sidecar_pod(), sandbox(running("s", hash_="older"), ended("i"), running("main")))
    assert [k.message for k in found.kill] == ["Init container s definition changed"]


def test_a_sidecar_that_is_being_stopped_is_not_up() -> None:
    assert decide(sidecar_pod(), sandbox(running("s")), stopping={"s-0"}) == PodActions()


def test_a_sidecar_that_is_to_be_stopped_now_is_not_up_either() -> None:
    for known in ({"restarts": {"s"}}, {"health": {"s-0": Health(unhealthy=ILL)}}):
        found = decide(sidecar_pod(), sandbox(running("s")), **known)
        assert ([k.id for k in found.kill], found.start) == (["s-0"], ())


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("there", [running("s"), ended("s"), ended("s", 1, delay=20)])
def test_sidecars_do_not_keep_a_finished_pod_alive(there: ContainerStatus, code: int) -> None:
    found = decide(sidecar_pod("Never"), sandbox(there, ended("i"), ended("main", code=code)))
    assert found == PodActions(over=True)


def test_a_pod_that_failed_in_its_initialization_is_over_for_its_sidecars_too() -> None:
    for there in (running("s"), ended("s", 1, delay=20)):
        assert decide(sidecar_pod("Never"), sandbox(there, ended("i", code=1))) == PodActions(over=True)


def test_a_main_container_that_will_run_again_keeps_the_sidecars() -> None:
    held = ended("main", 2, code=1, delay=40)
    found = decide(sidecar_pod("OnFailure"), sandbox(ended("s"), ended("i"), held))
    assert (found.over, names(found.start), list(found.held)) == (False, ["s"], ["main"])


def test_in_a_new_sandbox_the_sidecars_start_again_in_their_order() -> None:
    dead = sandbox(ended("s", code=137), ended("i"), ended("main", code=137), ready=False)
    found = decide(sidecar_pod(), dead)
    assert (found.kill_sandbox, found.create_sandbox, names(found.start)) == (True, True, ["s"])


def test_a_sidecar_lost_with_its_sandbox_does_not_end_a_pod_whose_containers_never_ran() -> None:
    found = decide(sidecar_pod("Never"), sandbox(ended("s", code=137), ready=False))
    assert (found.over, names(found.start)) == (False, ["s"])


def test_a_request_to_restart_a_sidecar_brings_no_failed_pod_back() -> None:
    dead = sandbox(ended("s", code=137), ended("i", code=137), ready=False)
    assert decide(sidecar_pod("Never"), dead, restarts={"s"}) == PodActions(kill_sandbox=True, over=True)


# -- the policies of a container's own (KEP-5307) ------------------------------------------------------------------


def test_an_init_container_with_a_policy_of_its_own() -> None:
    for pod_policy, own, over in (("Never", "OnFailure", False), ("Always", "Never", True)):
        made = pod(container(), initContainers=[container("i", restartPolicy=own)], restartPolicy=pod_policy)
        found = decide(made, sandbox(ended("i", code=1)))
        assert (found.over, names(found.start)) == (over, [] if over else ["i"])


def test_an_init_container_is_tried_again_by_a_rule_for_its_exit_code() -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    first = container("i", restartPolicy="Never", restartPolicyRules=rules)
    made = pod(container(), initContainers=[first], restartPolicy="Never")
    assert names(decide(made, sandbox(ended("i", code=42))).start) == ["i"]
    assert decide(made, sandbox(ended("i", code=41))).over
