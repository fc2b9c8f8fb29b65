"""A shutdown of the machine: in which order pods end and start, and who is told what when."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

import pytest

from minipod.api import core_v1
from minipod.api.priorities import priority
from minipod.kubelet.arrivals import Arrivals
from minipod.kubelet.shutdown import ending
from minipod.kubelet.shutdown.manager import ShutdownManager
from minipod.kubelet.shutdown.order import Group, in_groups, shutdown_groups, start_order
from tests.unit.kubelet.pods import pod

CRITICAL = 2_000_000_000
GROUPS = shutdown_groups(30, 10)


def named(name: str, created: str = "2026-01-01T00:00:00Z", **spec: object) -> core_v1.Pod:
    return pod(name=name, metadata={"uid": name, "creationTimestamp": created}, **spec)


def names(pods: Sequence[core_v1.Pod]) -> list[str]:
    return [p.metadata.name or "" for p in pods]


@pytest.mark.parametrize(
    ("total", "critical", "seconds"),
    [(30, 10, [20, 10]), (30, 0, [30, 0]), (30, 40, [0, 30]), (0, 10, [0, 0])],
)
def test_critical_pods_have_a_part_of_the_time_for_themselves(
    total: float, critical: float, seconds: list[float]
) -> None:
    assert shutdown_groups(total, critical) == (Group(0, seconds[0]), Group(CRITICAL, seconds[1]))


@pytest.mark.parametrize(
    ("spec", "number"),
    [
        ({}, 0),
        ({"priority": 7}, 7),
        ({"priorityClassName": "system-node-critical"}, CRITICAL + 1000),
        ({"priorityClassName": "system-cluster-critical"}, CRITICAL),
        ({"priorityClassName": "mine", "priority": -5}, -5),
    ],
)
def test_a_pods_priority(spec: dict[str, object], number: int) -> None:
    assert priority(named("web", **spec)) == number


def test_each_pod_ends_in_the_highest_group_it_reaches() -> None:
    pods = [
        named("low", priority=-5),
        named("zero"),
        named("high", priority=CRITICAL - 1),
        named("critical", priority=CRITICAL),
        named("more", priority=CRITICAL + 5),
    ]
    found = [(group.priority, names(members)) for group, members in in_groups(pods, GROUPS)]
    assert found == [(0, ["low", "zero", "high"]), (CRITICAL, ["critical", "more"])]
    assert [g.priority for g, _ in in_groups(pods[3:], GROUPS)] == [CRITICAL]


def test_pods_start_by_priority_and_then_by_age() -> None:
    young, old = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"
    pods = [
        named("b", young),
        named("a", old),
        named("dns", young, priority=CRITICAL),
        named("late", old, priority=-1),
    ]
    assert [names(group) for group in start_order(pods)] == [["dns"], ["a", "b"], ["late"]]


# -- starting in order -----------------------------------------------------------------------------------------------


class Worker:
    def __init__(self, of: core_v1.Pod, log: list[str]) -> None:
        self.pod = of
        self.first_sync = asyncio.Event()
        self.log = log
        self.may_end = asyncio.Event()

    def removed(self) -> None:
        self.log.append(f"removed {self.pod.metadata.name}")

    async def shut_down(self, grace: float | None) -> None:
        self.log.append(f"end {self.pod.metadata.name} {grace:g}")
        await self.may_end.wait()
        self.log.append(f"ended {self.pod.metadata.name}")


class Room:
    """Workers made by Arrivals, and the order in which they were."""

    def __init__(self, *running: str) -> None:
        self.log: list[str] = []
        self.workers: dict[str, Worker] = {}
        self.arrivals = Arrivals(runs=lambda uid: uid in running, start=self._start)  # type: ignore[arg-type]

    def _start(self, made: core_v1.Pod) -> Worker:
        name = made.metadata.name or ""
        self.log.append(name)
        self.workers[name] = Worker(made, self.log)
        return self.workers[name]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (the code under test has no event for it)
            await asyncio.sleep(0.001)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_runs_is_taken_over_at_once_and_the_rest_waits_for_the_more_important() -> None:
    room = Room("running")
    for each in (named("running", priority=-9), named("web"), named("dns", priority=CRITICAL)):
        assert room.arrivals.hold(each)
    room.arrivals.begin()
    assert room.log == ["running", "dns"]
    await settle()
    assert room.log == ["running", "dns"]
    room.workers["dns"].first_sync.set()
    await settle()
    assert room.log == ["running", "dns", "web"]
    assert not room.arrivals.hold(named("new"))
    await room.arrivals.stop()


async def test_a_pod_that_cannot_start_keeps_others_waiting_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("minipod.kubelet.arrivals.PATIENCE", 0.01)
    room = Room()
    for each in (named("web"), named("dns", priority=CRITICAL)):
        room.arrivals.hold(each)
    room.arrivals.begin()
    await until(lambda: room.log == ["dns", "web"])
    await room.arrivals.stop()


async def test_one_that_is_changed_or_deleted_while_it_waits() -> None:
    room = Room()
    for each in (named("a"), named("b"), named("dns", priority=CRITICAL)):
        room.arrivals.hold(each)
    room.arrivals.begin()
    changed = named("a")
    room.arrivals.update(changed)
    room.arrivals.gone(named("b"))
    room.arrivals.gone(named("stranger"))
    assert room.log == ["dns", "b", "removed b"]
    room.workers["dns"].first_sync.set()
    await settle()
    assert room.log == ["dns", "b", "removed b", "a"]
    assert room.workers["a"].pod is changed
    await room.arrivals.stop()


async def test_a_shutdown_starts_nobody_who_still_waits() -> None:
    room = Room()
    for each in (named("web"), named("dns", priority=CRITICAL)):
        room.arrivals.hold(each)
    room.arrivals.begin()
    await room.arrivals.stop()
    room.workers["dns"].first_sync.set()
    await settle()
    assert room.log == ["dns"]


# -- ending in order -------------------------------------------------------------------------------------------------


async def test_critical_pods_are_ended_when_the_others_have() -> None:
    log: list[str] = []
    workers = {
        name: Worker(named(name, priority=number), log)
        for name, number in (("dns", CRITICAL), ("web", 0), ("db", 0))
    }
    task = asyncio.create_task(ending.end_in_order(workers, GROUPS))  # type: ignore[arg-type]
    await settle()
    assert sorted(log) == ["end db 20", "end web 20"]
    workers["web"].may_end.set()
    await settle()
    assert "end dns 10" not in log
    workers["db"].may_end.set()
    await settle()
    assert log[-1] == "end dns 10"
    workers["dns"].may_end.set()
    await task


async def test_one_that_does_not_end_costs_no_more_than_its_groups_time() -> None:
    log: list[str] = []
    workers = {"web": Worker(named("web"), log), "dns": Worker(named("dns", priority=CRITICAL), log)}
    workers["dns"].may_end.set()
    groups = (Group(0, 0.01), Group(CRITICAL, 5))
    await ending.end_in_order(workers, groups)  # type: ignore[arg-type]
    assert log == ["end web 0.01", "end dns 5", "ended dns"]


async def test_one_that_is_deleted_meanwhile_does_not_keep_the_others_alive() -> None:
    log: list[str] = []
    workers = {
        name: Worker(named(name, priority=number), log)
        for name, number in (("web", 0), ("gone", CRITICAL), ("dns", CRITICAL))
    }
    task = asyncio.create_task(ending.end_in_order(workers, GROUPS))  # type: ignore[arg-type]
    await settle()
    for worker in workers.values():
        worker.may_end.set()
    del workers["gone"]
    await task
    assert "ended dns" in log


# -- the lock --------------------------------------------------------------------------------------------------------


class Logind:
    """Stands in for logind: its lock is a pipe's end, so that it shows when it is let go."""

    def __init__(self) -> None:
        self.allowed: list[float] = []
        self.read_end, self._write_end = os.pipe()
        self.closed = False
        self.tell: Callable[[bool], None] = lambda _: None
        self.lose: Callable[[Exception], None] = lambda _: None
        self.followed = asyncio.Event()

    def allow_delay(self, seconds: float) -> None:
        self.allowed.append(seconds)

    def lock(self, why: str) -> int:
        return self._write_end

    def follow(self, on_shutdown: Callable[[bool], None], on_lost: Callable[[Exception], None]) -> None:
        self.tell, self.lose = on_shutdown, on_lost
        self.followed.set()

    def close(self) -> None:
        self.closed = True

    @property
    def locked(self) -> bool:
        os.set_blocking(self.read_end, False)
        try:
            return os.read(self.read_end, 1) != b""
        except BlockingIOError:
            return True


class Node:
    def __init__(self) -> None:
        self.ended: list[Sequence[Group]] = []
        self.resumed = asyncio.Event()
        self.may_end = asyncio.Event()

    async def shut_down_in_order(self, groups: Sequence[Group]) -> None:
        self.ended.append(groups)
        await self.may_end.wait()

    async def resume(self) -> None:
        self.resumed.set()


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_the_machine_waits_until_the_pods_have_ended_and_they_come_back_when_it_is_called_off() -> (
    None
):
    made: list[Logind] = []

    def connect() -> Logind:
        made.append(Logind())
        return made[-1]

    node = Node()
    manager = ShutdownManager(node, total=30, critical=10, connect=connect, sleep=no_sleep)
    task = asyncio.create_task(manager.run())
    await until(lambda: bool(made))
    logind = made[0]
    await logind.followed.wait()
    assert logind.allowed == [30]
    logind.tell(True)
    await settle()
    assert node.ended == [GROUPS]
    assert logind.locked
    node.may_end.set()
    await settle()
    assert not logind.locked
    logind.tell(False)
    await asyncio.wait_for(node.resumed.wait(), 5)
    await until(lambda: len(made) == 2)
    await made[1].followed.wait()
    assert made[1].locked
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert made[0].closed
    assert made[1].closed
    assert not made[1].locked


async def test_a_bus_that_goes_away_is_tried_again_and_the_lock_let_go() -> None:
    made: list[Logind] = []

    def connect() -> Logind:
        made.append(Logind())
        return made[-1]

    manager = ShutdownManager(Node(), total=30, critical=10, connect=connect, sleep=no_sleep)
    task = asyncio.create_task(manager.run())
    await until(lambda: bool(made))
    await made[0].followed.wait()
    made[0].lose(ConnectionResetError("gone"))
    await until(lambda: len(made) == 2)
    await made[1].followed.wait()
    assert not made[0].locked
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_machine_without_logind_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[float] = []

    def connect() -> Logind:
        raise OSError("no bus here")

    async def sleep(seconds: float) -> None:
        tries.append(seconds)
        await asyncio.sleep(0)

    task = asyncio.create_task(
        ShutdownManager(Node(), total=30, critical=10, connect=connect, sleep=sleep).run()
    )
    await until(lambda: len(tries) > 12)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [record.getMessage() for record in caplog.records].count(
        "no graceful node shutdown by logind: no bus here; it is tried again"
    ) == 1
    assert max(tries) == 600.0


async def test_where_pods_get_no_time_nothing_is_asked_for() -> None:
    def connect() -> Logind:
        raise AssertionError("no lock is needed")

    await ShutdownManager(Node(), total=0, critical=0, connect=connect).run()
