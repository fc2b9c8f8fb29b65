"""The prober of one pod, against real servers: what runs when, what is told, and what is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from minipod.api import core_v1, meta_v1
from minipod.kubelet.pods.health import HEALTHY, Health, Unhealthy
from minipod.kubelet.prober.prober import NOT_PROBED, ProbedContainer, Prober
from minipod.kubelet.prober.state import PERIOD_ANNOTATION
from tests.fakes.services import RecordingEvents
from tests.unit.kubelet.prober.peers import Web, closed_port, page, serving

GOOD, BAD = page(200, "fine"), page(500, "secret")
NOW = 1_790_000_000_000_000
NOT_READY = Health(ready=False)
NOT_STARTED = Health(started=False, ready=False)


class Brokenness:
    """A runtime that cannot even be asked."""

    def status(self, uid: str) -> None:
        raise RuntimeError("no")


class Stage:
    """A prober, a web server of paths named after probes, and what came of them."""

    def __init__(self) -> None:
        self.events = RecordingEvents()
        self.changes = asyncio.Event()
        self.web = Web({f"/{kind}": GOOD for kind in ("startup", "liveness", "readiness")})
        self.port = 0
        self.noted: list[tuple[str, str]] = []
        history = SimpleNamespace(
            note=lambda _pod, _step, message, *, container: self.noted.append((container, message))
        )
        services: Any = SimpleNamespace(
            runtime=Brokenness(), events=self.events, history=history, clock=lambda: NOW
        )
        self.prober = Prober(services, self.changes.set)

    def probe(self, kind: str, **fields: Any) -> core_v1.Probe:
        fields.setdefault("httpGet", core_v1.HTTPGetAction(port=self.port, path=f"/{kind}"))
        return core_v1.Probe(**fields)

    def container(self, **probes: dict[str, Any]) -> core_v1.Container:
        made = {f"{kind}Probe": self.probe(kind, **fields) for kind, fields in probes.items()}
        return core_v1.Container(name="web", **made)

    def sync(
        self,
        container: core_v1.Container,
        *,
        id: str = "c1",  # noqa: A002
        period: str | None = "10",
        ip: str = "127.0.0.1",
        age: float = 0.0,
        **given: Any,
    ) -> None:
        annotations = {} if period is None else {PERIOD_ANNOTATION: period}
        pod = core_v1.Pod(metadata=meta_v1.ObjectMeta(name="pod", uid="uid", annotations=annotations))
        started = NOW - int(age * 1e6)
        self.prober.sync(pod, [ProbedContainer(container=container, id=id, started_at=started, **given)], ip)

    async def health(self, expected: Health, id: str = "c1") -> None:  # noqa: A002
        """Wait until it is this, woken by on_change alone."""
        async with asyncio.timeout(5):
            while self.prober.health(id) != expected:
                self.changes.clear()
                await self.changes.wait()

    async def asked(self, path: str, times: int = 1) -> None:
        """Wait for that many more requests for a path."""
        before = self.web.paths.count(path)
        await until(lambda: self.web.paths.count(path) >= before + times)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (the servers' side has no event to wait for)
            await asyncio.sleep(0.001)


@pytest.fixture
async def stage(no_leaks: None) -> AsyncIterator[Stage]:
    made = Stage()
    async with serving(made.web.talk) as made.port:
        yield made
        await made.prober.stop()
    assert not [t for t in asyncio.all_tasks() if "web" in t.get_name()]


async def test_without_probes_all_is_well(stage: Stage) -> None:
    assert stage.prober.health("c1") == NOT_PROBED
    stage.sync(stage.container())
    assert stage.prober.health("c1") == HEALTHY
    assert not stage.changes.is_set()


async def test_readiness_comes_at_once_and_goes_after_the_threshold(stage: Stage) -> None:
    stage.sync(stage.container(readiness={"failureThreshold": 2}))
    assert stage.prober.health("c1") == NOT_READY
    await stage.health(HEALTHY)
    assert stage.web.paths == ["/readiness"]
    stage.web.pages["/readiness"] = BAD
    await stage.health(NOT_READY)
    assert stage.events.said[0] == (
        "Unhealthy",
        "Readiness probe failed: HTTP probe failed with statuscode: 500",
    )
    stage.web.pages["/readiness"] = GOOD
    await stage.health(HEALTHY)


async def test_a_server_that_begins_to_listen_is_ready_soon(stage: Stage) -> None:
    port = closed_port()
    action = core_v1.HTTPGetAction(port=port, path="/readiness")
    stage.sync(stage.container(readiness={"httpGet": action}))
    await until(lambda: stage.events.said)
    server = await asyncio.start_server(stage.web.talk, "127.0.0.1", port)
    began = time.monotonic()
    await stage.health(HEALTHY)
    assert time.monotonic() - began < 0.5
    server.close()
    await server.wait_closed()


async def test_startup_gates_the_others(stage: Stage) -> None:
    stage.web.pages["/startup"] = BAD
    stage.sync(stage.container(startup={"failureThreshold": 1000}, readiness={}, liveness={}))
    await stage.asked("/startup", 3)
    assert stage.prober.health("c1") == NOT_STARTED
    assert set(stage.web.paths) == {"/startup"}
    stage.web.pages["/startup"] = GOOD
    await stage.health(HEALTHY)
    await stage.asked("/liveness")
    count = stage.web.paths.count("/startup")
    await stage.asked("/readiness", 3)
    assert stage.web.paths.count("/startup") == count


async def test_readiness_runs_at_once_after_startup_however_long_its_period(stage: Stage) -> None:
    stage.sync(stage.container(startup={}, readiness={"periodSeconds": 3600}, liveness={}), period=None)
    await stage.health(HEALTHY)
    assert stage.web.paths == ["/startup", "/readiness"]


async def test_a_startup_that_fails_rests_until_there_is_a_new_container(stage: Stage) -> None:
    stage.web.pages["/startup"] = BAD
    container = stage.container(
        startup={"failureThreshold": 3, "terminationGracePeriodSeconds": 5}, readiness={}
    )
    stage.sync(container)
    failed = Unhealthy(message="Container web failed startup probe", grace=5)
    await stage.health(Health(started=False, ready=False, unhealthy=failed))
    assert stage.web.paths == ["/startup"] * 3
    stage.sync(container)
    assert not [t for t in asyncio.all_tasks() if t.get_name() == "startup-web"]
    stage.web.pages["/startup"] = GOOD
    stage.sync(container, id="c2")
    await stage.health(HEALTHY, "c2")
    assert stage.prober.health("c1") == NOT_PROBED


async def test_liveness_fails_while_readiness_goes_on(stage: Stage) -> None:
    stage.sync(stage.container(liveness={}, readiness={}))
    await stage.health(HEALTHY)
    stage.web.pages["/liveness"] = BAD
    await stage.health(Health(unhealthy=Unhealthy(message="Container web failed liveness probe")))
    asked = stage.web.paths.count("/liveness")
    await stage.asked("/readiness", 5)
    assert stage.web.paths.count("/liveness") == asked
    assert stage.events.said[-1] == (
        "Unhealthy",
        "Liveness probe failed: HTTP probe failed with statuscode: 500",
    )


async def test_liveness_is_not_asked_before_one_period(stage: Stage) -> None:
    stage.web.pages["/liveness"] = BAD
    stage.sync(stage.container(liveness={"failureThreshold": 1}, readiness={}), period=None)
    await stage.health(HEALTHY)
    assert stage.web.paths == ["/readiness"]


async def test_initial_delay_counts_from_the_start_of_the_container(stage: Stage) -> None:
    container = stage.container(readiness={"initialDelaySeconds": 3600})
    stage.sync(container, age=3599)
    other = stage.container(readiness={"initialDelaySeconds": 3600})
    stage.sync(other, id="c2", age=3600)
    await stage.health(HEALTHY, "c2")
    assert stage.web.paths.count("/readiness") == 1


async def test_nothing_is_asked_before_the_post_start_hook_is_over(stage: Stage) -> None:
    container = stage.container(readiness={}, startup={}, liveness={})
    stage.sync(container, hooked=False)
    await asyncio.sleep(0)
    assert not [t for t in asyncio.all_tasks() if t.get_name() == "startup-web"]
    assert stage.prober.health("c1") == NOT_STARTED
    stage.sync(container)
    await stage.health(HEALTHY)


async def test_an_adopted_container_stays_ready_until_it_has_failed(stage: Stage) -> None:
    stage.web.pages["/readiness"] = BAD
    container = stage.container(startup={}, readiness={"failureThreshold": 3})
    stage.sync(container, known=HEALTHY)
    assert stage.prober.health("c1") == HEALTHY
    await stage.health(NOT_READY)
    assert stage.web.paths == ["/readiness"] * 3


async def test_an_adopted_container_that_was_not_ready_is_asked(stage: Stage) -> None:
    stage.sync(stage.container(readiness={}), known=NOT_READY)
    assert stage.prober.health("c1") == NOT_READY
    await stage.health(HEALTHY)


async def test_probes_of_adopted_containers_do_not_all_come_at_once(stage: Stage) -> None:
    slow = stage.container(readiness={"periodSeconds": 3600})
    found = [
        ProbedContainer(container=slow, id=f"c{n}", started_at=NOW, known=HEALTHY if n else NOT_READY)
        for n in range(20)
    ]
    stage.prober.sync(core_v1.Pod(), found, "127.0.0.1")
    await stage.health(HEALTHY, "c0")
    assert len(stage.web.paths) == 1


async def test_a_pod_that_is_being_stopped_is_asked_for_readiness_only(stage: Stage) -> None:
    stage.sync(stage.container(liveness={}, readiness={}))
    await stage.asked("/liveness")
    stage.prober.stop_liveness_and_startup()
    stage.web.pages["/liveness"] = BAD
    await stage.asked("/readiness", 2)
    asked = stage.web.paths.count("/liveness")
    await stage.asked("/readiness", 5)
    assert stage.web.paths.count("/liveness") == asked
    stage.web.pages["/readiness"] = BAD
    await stage.health(NOT_READY)


async def test_stopping_forgets_what_was_unhealthy(stage: Stage) -> None:
    stage.web.pages["/liveness"] = BAD
    stage.sync(stage.container(liveness={"failureThreshold": 1}))
    await stage.health(Health(unhealthy=Unhealthy(message="Container web failed liveness probe")))
    stage.prober.stop_liveness_and_startup()
    assert stage.prober.health("c1") == HEALTHY


async def test_warnings_count_as_success_and_are_told(stage: Stage) -> None:
    stage.web.pages["/readiness"] = page(302, "moved", Location="http://192.0.2.1/")
    stage.sync(stage.container(readiness={}))
    await stage.health(HEALTHY)
    said = "Readiness probe warning: Probe terminated redirects, Response body: moved"
    assert stage.events.said == [("ProbeWarning", said)]


async def test_a_probe_that_cannot_be_made_says_so_and_decides_nothing(stage: Stage) -> None:
    action = core_v1.HTTPGetAction(port="web")
    stage.sync(stage.container(liveness={"httpGet": action, "failureThreshold": 1}))
    await until(lambda: stage.events.said)
    assert stage.events.said[0] == (
        "Unhealthy",
        "Liveness probe errored and resulted in unknown state: "
        'container web has no port named "web": strconv.Atoi: parsing "web": invalid syntax',
    )
    assert stage.prober.health("c1") == HEALTHY


async def test_a_defect_of_a_handler_is_survived(stage: Stage) -> None:
    command = core_v1.ExecAction(command=["true"])
    stage.sync(stage.container(liveness={"httpGet": None, "exec": command}, readiness={}))
    await until(lambda: stage.events.said)
    assert stage.events.said[0][1].endswith("unknown state: internal error: RuntimeError")
    await stage.health(HEALTHY)


async def test_a_hundred_failures_a_second_are_not_a_hundred_events(stage: Stage) -> None:
    stage.web.pages["/readiness"] = BAD
    stage.sync(stage.container(readiness={}))
    await stage.asked("/readiness", 20)
    assert len(stage.events.said) <= 1 + len(stage.web.asked) // 20


async def test_a_success_is_noted_when_it_changes_the_verdict(stage: Stage) -> None:
    container = stage.container(startup={}, readiness={})
    stage.sync(container, period="10")
    await stage.health(HEALTHY)
    await stage.asked("/readiness", 3)
    assert stage.noted == [("web", "startup probe succeeded"), ("web", "readiness probe succeeded")]


async def test_another_period_holds_at_once_for_probes_that_sleep(stage: Stage) -> None:
    container = stage.container(readiness={"periodSeconds": 3600}, liveness={"periodSeconds": 3600})
    stage.sync(container, period=None)
    await stage.asked("/readiness")
    stage.sync(container, period="10")
    await stage.asked("/readiness", 3)
    await stage.asked("/liveness", 3)
    stage.sync(container, period=None)
    await until(lambda: len([t for t in asyncio.all_tasks() if t.get_name().endswith("-web")]) == 2)


async def test_another_period_leaves_a_question_under_way_alone(stage: Stage) -> None:
    answer, asked = asyncio.Event(), []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        await answer.wait()
        await stage.web.talk(reader, writer)

    async with serving(slow) as port:
        action = core_v1.HTTPGetAction(port=port, path="/readiness")
        container = stage.container(readiness={"httpGet": action, "timeoutSeconds": 60})
        stage.sync(container, period="20")
        await until(lambda: asked)
        stage.sync(container, period="10")
        answer.set()
        await stage.health(HEALTHY)
        assert len(stage.web.paths) == len(asked) == 1


async def test_an_annotation_that_makes_no_sense_is_told_once(stage: Stage) -> None:
    container = stage.container(readiness={})
    for _ in range(3):
        stage.sync(container, period="5")
    await stage.health(HEALTHY)
    assert [reason for reason, _ in stage.events.said] == ["NotAsAsked"]
    assert "expected a whole number of milliseconds from 10 to 60000" in stage.events.said[0][1]
    stage.sync(container, period="10")
    assert len(stage.events.said) == 1


async def test_probes_follow_the_pods_address(stage: Stage) -> None:
    container = stage.container(readiness={"failureThreshold": 1})
    stage.sync(container, ip="")
    await until(lambda: stage.events.said)
    assert stage.prober.health("c1") == NOT_READY
    stage.sync(container)
    await stage.health(HEALTHY)


async def test_a_container_that_is_gone_is_left_alone(stage: Stage) -> None:
    hanging = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        hanging.set()
        await reader.read()

    async with serving(hang) as port:
        action = core_v1.HTTPGetAction(port=port)
        stage.sync(stage.container(readiness={"httpGet": action, "timeoutSeconds": 3600}))
        await hanging.wait()
        stage.prober.sync(core_v1.Pod(), [], "")
        await stage.prober.stop()
        assert not [t for t in asyncio.all_tasks() if t.get_name() == "readiness-web"]
