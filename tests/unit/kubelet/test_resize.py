"""What a resize of running containers writes, in which order, what it restarts, and what is said of it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from minipod.api import codec, core_v1
from minipod.kubelet.containers.cgroups import pod_files
from minipod.kubelet.containers.limit_policy import LimitPolicy
from minipod.kubelet.containers.resources_in_force import LABEL_RESOURCES, InForce, in_force, recorded
from minipod.kubelet.pods.resize import (
    NOTHING,
    Pending,
    ResizePlan,
    allocated,
    plan_resize,
    resize_conditions,
    shown_resources,
)
from tests.unit.kubelet.pods import container, host, pod

NOW = "2026-01-02T03:04:05Z"


def resources(cpu: str = "100m", memory: str = "64Mi") -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}}


def force(id_: str = "1", usage: int | None = None, **amounts: str) -> InForce:
    found = codec.from_builtins(core_v1.ResourceRequirements, resources(**amounts))
    return InForce(id=id_, resources=found, memory_usage=usage)


def web(*containers: dict[str, Any], **spec: Any) -> core_v1.Pod:
    return pod(*(containers or (container(resources=resources()),)), **spec)


def test_what_is_in_force_is_left_alone() -> None:
    assert plan_resize(web(), {"main": force()}, host()) == NOTHING
    spelled = web(container(resources=resources(cpu="0.1", memory=str(64 << 20))))
    assert plan_resize(spelled, {"main": force()}, host()).idle
    assert plan_resize(web(), {}, host()).idle


def test_more_is_given_to_the_pod_first_and_less_is_taken_last() -> None:
    wanted = web(container(resources=resources(cpu="200m", memory="32Mi")))
    plan = plan_resize(wanted, {"main": force(usage=1 << 20)}, host())
    assert plan.grow_pod == {"cpu.weight": "29", "cpu.max": "20000 100000"}
    assert plan.shrink_pod == {"memory.max": str(32 << 20)}
    [update] = plan.updates
    assert (update.name, update.id) == ("main", "1")
    assert update.files == {"cpu.weight": "29", "cpu.max": "20000 100000", "memory.max": str(32 << 20)}
    assert (plan.restarts, plan.pending, plan.problem) == ((), None, "")


def test_those_that_shrink_come_first() -> None:
    wanted = web(
        container("grows", resources=resources(memory="128Mi")),
        container("shrinks", resources=resources(memory="32Mi")),
    )
    plan = plan_resize(wanted, {"grows": force("1"), "shrinks": force("2")}, host())
    assert [update.name for update in plan.updates] == ["shrinks", "grows"]
    assert plan.grow_pod == {"memory.max": str(160 << 20)}


def test_a_limit_where_there_was_none_shrinks() -> None:
    asked = {"requests": {"cpu": "100m", "memory": "64Mi"}}
    wanted = web(container(resources={**asked, "limits": {"memory": "64Mi"}}))
    before = InForce(id="1", resources=codec.from_builtins(core_v1.ResourceRequirements, asked))
    plan = plan_resize(wanted, {"main": before}, host())
    assert plan.shrink_pod["memory.max"] == str(64 << 20)
    assert plan.updates[0].files == {"memory.max": str(64 << 20)}


def test_memory_qos_follows_a_resize() -> None:
    asked = {"requests": {"cpu": "100m", "memory": "64Mi"}}
    wanted = web(container(resources={"requests": {"cpu": "100m"}}))
    before = InForce(id="1", resources=codec.from_builtins(core_v1.ResourceRequirements, asked))
    plan = plan_resize(wanted, {"main": before}, host(), policy=LimitPolicy(memory_qos=True))
    assert plan.shrink_pod == {"memory.min": "0"}
    assert plan.updates[0].files == {"memory.min": "0", "memory.high": "max"}


def test_what_was_written_is_recorded_and_found_again() -> None:
    asked = {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "hugepages-2Mi": "2Mi"}}
    wanted = web(container(resources=asked))
    [update] = plan_resize(wanted, {"main": force()}, host()).updates
    assert update.labels == {LABEL_RESOURCES: recorded(wanted.spec.containers[0].resources)}
    again = in_force("1", update.labels)
    assert again is not None
    assert again.resources.limits == {"cpu": "1"}
    assert plan_resize(wanted, {"main": again}, host()).idle
    assert in_force("1", {}) is None
    assert in_force("1", {LABEL_RESOURCES: "{"}) is None


@pytest.mark.parametrize(
    ("changed", "restarts"),
    [({"cpu": "200m"}, ()), ({"memory": "128Mi"}, ("main",)), ({"memory": "32Mi"}, ("main",))],
)
def test_a_resize_policy_restarts(changed: dict[str, str], restarts: tuple[str, ...]) -> None:
    policy = [
        {"resourceName": "memory", "restartPolicy": "RestartContainer"},
        {"resourceName": "cpu", "restartPolicy": "NotRequired"},
    ]
    wanted = web(container(resources=resources(**changed), resizePolicy=policy))
    plan = plan_resize(wanted, {"main": force(usage=1 << 40)}, host())
    assert plan.restarts == restarts
    assert [update.name for update in plan.updates] == ([] if restarts else ["main"])


def test_the_pod_shrinks_when_what_is_restarted_runs_anew() -> None:
    """Before, the kernel would kill what is to be stopped in its own time."""
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    wanted = web(container(resources=resources(memory="32Mi"), resizePolicy=policy))
    group = pod_files(web(), host())
    plan = plan_resize(wanted, {"main": force()}, host(), pod_group=group)
    assert (plan.restarts, plan.pod_files) == (("main",), {})
    plan = plan_resize(wanted, {"main": force(memory="32Mi")}, host(), pod_group=group)
    assert (plan.restarts, plan.shrink_pod) == ((), {"memory.max": str(32 << 20)})
    assert plan_resize(
        wanted, {"main": force(memory="32Mi")}, host(), pod_group={**group, **plan.shrink_pod}
    ).idle


def test_a_sidecar_is_resized_an_init_container_is_not() -> None:
    wanted = web(
        container(),
        initContainers=[
            container("once", resources=resources()),
            container("side", restartPolicy="Always", resources=resources()),
        ],
    )
    old = force(cpu="50m", memory="32Mi")
    plan = plan_resize(wanted, {"once": old, "side": old}, host())
    assert [update.name for update in plan.updates] == ["side"]


def test_what_has_ended_is_not_changed() -> None:
    wanted = web(container(resources=resources(cpu="200m")))
    ended = in_force("1", {LABEL_RESOURCES: recorded(force().resources)}, running=False)
    assert ended is not None
    plan = plan_resize(wanted, {"main": ended}, host())
    assert (plan.updates, plan.restarts, plan.pending) == ((), (), None)


@pytest.mark.parametrize(
    ("wanted", "others", "pending", "said"),
    [
        (
            {"cpu": "5"},
            {},
            Pending.INFEASIBLE,
            "Node didn't have enough capacity: cpu, requested: 5000, capacity: 2000",
        ),
        (
            {"memory": "16Gi"},
            {},
            Pending.INFEASIBLE,
            f"Node didn't have enough capacity: memory, requested: {16 << 30}, capacity: {8 << 30}",
        ),
        (
            {"cpu": "1"},
            {"cpu": Fraction(3, 2)},
            Pending.DEFERRED,
            "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000",
        ),
    ],
)
def test_what_this_node_does_not_have(
    wanted: dict[str, str], others: dict[str, Fraction], pending: Pending, said: str
) -> None:
    made = web(container(resources=resources(**wanted)))
    plan = plan_resize(made, {"main": force()}, host(), others=others)
    assert plan == ResizePlan(pending=pending, problem=said)
    [condition] = resize_conditions(made, plan, NOW)
    assert (condition.type, condition.status, condition.reason) == ("PodResizePending", "True", pending)
    assert (condition.message, condition.observedGeneration, condition.lastTransitionTime) == (said, 1, NOW)
    granted = allocated(made, {"main": force()}, plan)
    assert granted.spec.containers[0].resources == force().resources
    shown = shown_resources(made.spec.containers[0], granted.spec.containers[0], force())
    assert shown == (force().resources.requests, force().resources)


def test_a_controller_this_host_lacks_is_named() -> None:
    wanted = web(container(resources=resources(memory="128Mi")))
    plan = plan_resize(wanted, {"main": force()}, host(controllers=frozenset({"cpu"})))
    assert plan.pending is Pending.INFEASIBLE
    assert plan.problem == (
        "spec.containers[0].resources.limits.memory needs the cgroup v2 controller memory, which this host does not "
        "offer"
    )
    lenient = plan_resize(wanted, {"main": force()}, host(controllers=frozenset()), strict=False)
    assert lenient.pending is None
    assert lenient.updates[0].files == {}
    assert lenient.updates[0].labels


def test_a_limit_below_what_is_in_use_would_kill() -> None:
    wanted = web(container(resources=resources(memory="32Mi")))
    plan = plan_resize(wanted, {"main": force(usage=40 << 20)}, host())
    said = f"attempting to set container 'main' memory limit ({32 << 20}) below current usage ({40 << 20})"
    assert plan == ResizePlan(problem=said)
    [condition] = resize_conditions(wanted, plan, NOW)
    assert (condition.type, condition.reason, condition.message) == ("PodResizeInProgress", "Error", said)
    granted = allocated(wanted, {"main": force()}, plan)
    asked, actual = shown_resources(wanted.spec.containers[0], granted.spec.containers[0], force())
    assert (asked["memory"], actual.limits["memory"]) == ("32Mi", "64Mi")


def test_a_condition_keeps_its_time_and_goes_when_all_is_done() -> None:
    wanted = web(container(resources=resources(cpu="200m")))
    plan = plan_resize(wanted, {"main": force()}, host())
    [condition] = resize_conditions(wanted, plan, NOW)
    assert (condition.type, condition.reason, condition.message) == ("PodResizeInProgress", None, None)
    wanted.status.conditions = [condition]
    assert resize_conditions(wanted, plan, "2027-01-02T03:04:05Z")[0].lastTransitionTime == NOW
    assert resize_conditions(wanted, NOTHING, NOW) == []
