"""Who holds room on the node, and who is told when some becomes free."""

from __future__ import annotations

from fractions import Fraction

from minipod.api import core_v1
from minipod.kubelet.node_state import NodeState
from tests.unit.kubelet.pods import container, pod
from tests.unit.kubelet.stage import Stage


def asking(uid: str, cpu: str) -> core_v1.Pod:
    return pod(container(resources={"requests": {"cpu": cpu}}), metadata={"uid": uid})


def test_room_is_held_until_it_is_released() -> None:
    node = NodeState()
    node.take(asking("a", "1"))
    node.take(asking("b", "500m"))
    assert node.taken(without="b").requests == {"cpu": Fraction(1)}
    assert node.taken(without="").pods == 2
    node.release("a")
    assert node.taken(without="").requests == {"cpu": Fraction(1, 2)}


def test_whoever_waits_is_told_once_of_room_that_others_make() -> None:
    node = NodeState()
    told: list[str] = []
    node.take(asking("a", "1"))
    node.await_room("b", lambda: told.append("b"))
    node.take(asking("a", "2"))
    assert told == []
    node.take(asking("a", "1"))
    assert told == ["b"]
    node.release("a")
    assert told == ["b"]


def test_a_pod_that_is_gone_waits_no_more() -> None:
    node = NodeState()
    told: list[str] = []
    node.take(asking("a", "1"))
    node.await_room("b", lambda: told.append("b"))
    node.release("b")
    node.release("a")
    assert told == []


def test_room_that_a_pod_makes_itself_is_no_news_to_it() -> None:
    node = NodeState()
    told: list[str] = []
    node.take(asking("a", "2"))
    node.take(asking("b", "2"))
    node.await_room("a", lambda: told.append("a"))
    node.take(asking("a", "1"))
    assert told == []
    node.release("b")
    assert told == ["a"]


async def test_a_pod_holds_its_room_from_admission_to_its_end(stage: Stage) -> None:
    stage.begin(pod(container(resources={"requests": {"cpu": "1"}}), restartPolicy="Never"))
    await stage.until(lambda: stage.phase == "Running")
    assert stage.services.node.taken(without="").requests == {"cpu": Fraction(1)}
    stage.runtime.end(stage.worker.uid, "main", 0)
    await stage.worker.ended()
    assert stage.services.node.taken(without="").pods == 0


async def test_a_pod_that_is_refused_holds_none(stage: Stage) -> None:
    stage.begin(pod(container(resources={"requests": {"cpu": "9"}})))
    await stage.until(lambda: stage.phase == "Failed")
    assert stage.client.statuses[-1].reason == "OutOfcpu"
    assert stage.client.statuses[-1].message == (
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 9000, used: 0, capacity: 2000"
    )
    assert stage.services.node.taken(without="").pods == 0
    assert "run_sandbox" not in stage.runtime.calls
