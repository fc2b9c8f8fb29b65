"""A pod's whole life under compute_pod_actions, driven over a tiny simulated runtime.

Whatever happens (exits, failing probes, late hooks, a dead sandbox, restarts on request): no container runs twice at
once, init containers run in their order, nothing starts once the pod is over, and left alone a pod comes to rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.api import core_v1
from minipod.kubelet.pods.actions import PodActions, Start, compute_pod_actions
from minipod.kubelet.pods.health import HEALTHY, Health, Unhealthy
from minipod.kubelet.pods.restart_policy import is_sidecar
from minipod.kubelet.status.fates import FINAL_PHASES
from minipod.kubelet.status.generate import PodView, generate_status
from minipod.kubelet.status.records import histories, latest
from minipod.runtime.types import ContainerState, ContainerStatus, ExitRecord, SandboxState, SandboxStatus
from tests.unit.kubelet.deciding import POLICY
from tests.unit.kubelet.pods import container, pod
from tests.unit.kubelet.records import NOW, SECOND, running, sandbox

HOOK = {"postStart": {"sleep": {"seconds": 1}}}
ILL = Unhealthy(message="ill")
REST = 40
"""Decisions that are enough to start the largest pod of these tests from anywhere."""


@dataclass
class World:
    """The runtime, the stops under way and the hooks and probes of one pod; no time passes by itself."""

    pod: core_v1.Pod
    now: int = NOW
    sandbox: SandboxStatus | None = None
    health: dict[str, Health] = field(default_factory=dict)
    stopping: set[str] = field(default_factory=set)
    unwell: set[str] = field(default_factory=set)
    asked: dict[str, str] = field(default_factory=dict)
    over: bool = False

    @property
    def containers(self) -> tuple[ContainerStatus, ...]:
        return self.sandbox.containers if self.sandbox else ()

    def running(self) -> list[ContainerStatus]:
        return [c for c in self.containers if c.state is ContainerState.RUNNING]

    def report(self) -> None:
        view = PodView(
            histories=histories(self.pod, self.sandbox),
            health=self.health,
            restarts=self.asked.keys(),
            unwell=self.unwell,
            terminal=self.over,
        )
        before = self.pod.status
        self.pod.status = generate_status(self.pod, view, now="2026-01-01T00:00:00Z")
        check_status(before, self.pod.status, self)

    def decide(self) -> PodActions:
        actions = compute_pod_actions(
            self.pod,
            self.sandbox,
            latest(histories(self.pod, self.sandbox)),
            now=self.now,
            backoff=POLICY,
            health=self.health,
            stopping=self.stopping,
            restarts=self.asked.keys(),
            unwell=self.unwell,
        )
        assert not (self.over and not actions.over), "a pod that was over came back"
        return actions

    def act(self, actions: PodActions) -> None:
        if actions.over:
            assert actions.idle or (actions.kill_sandbox and not actions.start)
            self.over = True
        if actions.kill_sandbox:
            self.report()
            self.sandbox = None
            self.stopping.clear()
        if actions.create_sandbox:
            assert self.sandbox is None
            self.sandbox = sandbox(attempt=actions.sandbox_attempt)
        for kill in actions.kill:
            assert kill.id not in self.stopping
            assert any(c.id == kill.id for c in self.running())
            self.stopping.add(kill.id)
            self.unwell |= {kill.id} if kill.to_replace else set()
        for start in actions.start:
            self.start(start)
        self.report()

    def start(self, start: Start) -> None:
        assert self.sandbox is not None
        assert not self.over
        assert start.name not in {c.name for c in self.running()}, "two attempts at once"
        known = latest(histories(self.pod, self.sandbox)).get(start.name)
        assert start.attempt == (known.attempt + 1 if known else 0)
        check_order(self, start.name)
        made = replace(running(start.name, start.attempt, delay=start.delay), started_at=self.now)
        self.sandbox = replace(self.sandbox, containers=(*self.containers, made))
        if start.name != "d":
            spec = find(self.pod, start.name)
            self.health[made.id] = Health(hooked=not spec.lifecycle, started=not spec.startupProbe)
        self.asked.pop(start.name, None)

    def end(self, container_: ContainerStatus, code: int) -> None:
        assert self.sandbox is not None
        exit_ = ExitRecord(code=code, started_at=container_.started_at, finished_at=self.now)
        after = replace(container_, state=ContainerState.EXITED, exit=exit_)
        self.sandbox = replace(
            self.sandbox, containers=tuple(after if c.id == after.id else c for c in self.containers)
        )
        self.stopping.discard(after.id)

    def settle(self) -> None:
        """Decide and act until nothing changes; hooks and stops go on, time passes, nothing else ends."""
        for _ in range(REST):
            actions = self.decide()
            self.act(actions)
            if self.over:
                return
            for id_ in list(self.stopping):
                self.end(next(c for c in self.running() if c.id == id_), 0)
            for id_, found in self.health.items():
                self.health[id_] = replace(found, hooked=True, started=True, unhealthy=None)
            for one in self.running():
                if one.name.startswith("i"):
                    self.end(one, 0)
            following = self.decide()
            if actions.idle and following == PodActions():
                self.report()
                return
            self.now = max(self.now + SECOND, actions.wake_at or 0)
        raise AssertionError("the pod does not come to rest")


def find(made: core_v1.Pod, name: str) -> core_v1.Container:
    return next(c for c in (*made.spec.initContainers, *made.spec.containers) if c.name == name)


def check_order(world: World, name: str) -> None:
    """No hook of a container before it is pending; the first time in a sandbox, each init container had its turn."""
    if name.startswith("d"):
        return
    everyone = [c.name for c in (*world.pod.spec.initContainers, *world.pod.spec.containers)]
    earlier = everyone[: everyone.index(name)]
    for container_ in world.running():
        if container_.name in earlier:
            assert world.health[container_.id].hooked, (
                f"{name} started before {container_.name}'s hook was over"
            )
    if any(c.name == name for c in world.containers):
        return
    init = world.pod.spec.initContainers
    order = [c.name for c in init]
    before = init[: order.index(name)] if name in order else init
    for one in before:
        attempts = [c for c in world.containers if c.name == one.name]
        assert attempts, f"{name} started before {one.name}"
        passed = any(c.name in everyone[everyone.index(one.name) + 1 :] for c in world.containers)
        # What was passed once gates nothing any more.
        if is_sidecar(one) and before[-1] is one and not passed:
            assert attempts[-1].exit or world.health[attempts[-1].id].started, (
                f"{name} before {one.name} started"
            )
        if not is_sidecar(one):
            assert attempts[-1].exit is not None
            assert attempts[-1].exit.code == 0, f"{name} started although {one.name} has not succeeded"


def check_status(before: core_v1.PodStatus, after: core_v1.PodStatus, world: World) -> None:
    if before.phase in FINAL_PHASES:
        assert after.phase == before.phase
    if after.phase in FINAL_PHASES:
        assert not [c for c in world.running() if not c.name.startswith("d")]
    counts = {s.name: s.restartCount for s in (*before.initContainerStatuses, *before.containerStatuses)}
    for status in (*after.initContainerStatuses, *after.containerStatuses):
        assert status.restartCount >= counts.get(status.name, 0)
        assert not (status.ready and status.state and status.state.waiting)


policies = st.sampled_from(["Always", "OnFailure", "Never"])


@st.composite
def pods(draw: st.DrawFn) -> core_v1.Pod:
    def one(name: str, **fields: Any) -> dict[str, Any]:
        if not name.startswith("i"):
            if draw(st.booleans()):
                fields["lifecycle"] = HOOK
            if draw(st.booleans()):
                fields["startupProbe"] = {"tcpSocket": {"port": 80}}
        return container(name, **fields)

    init: list[dict[str, Any]] = []
    for index in range(draw(st.integers(0, 3))):
        sidecar = draw(st.booleans())
        init.append(one(f"s{index}", restartPolicy="Always") if sidecar else one(f"i{index}"))
    main = []
    for index in range(draw(st.integers(1, 3))):
        own = draw(st.one_of(st.none(), policies))
        main.append(one(f"m{index}", **({"restartPolicy": own} if own else {})))
    debug = [container("d")] if draw(st.booleans()) else []
    return pod(*main, initContainers=init, ephemeralContainers=debug, restartPolicy=draw(policies))


EVENTS = ("exit", "exit", "exit", "hook", "hook", "ill", "stop", "time", "crash", "restart", "none", "none")


@settings(max_examples=200, deadline=None)
@given(pods(), st.data())
def test_whatever_happens_a_pod_keeps_its_order_and_comes_to_rest(
    made: core_v1.Pod, data: st.DataObject
) -> None:
    world = World(made)
    for event in data.draw(st.lists(st.sampled_from(EVENTS), max_size=40)):
        if data.draw(st.integers(0, 3)):
            world.act(world.decide())
        if world.over:
            break
        happen(world, event, data)
    if not world.over:
        world.settle()
    if world.over:
        end_all(world)
        assert world.pod.status.phase in FINAL_PHASES
        return
    health = [world.health.get(c.id, HEALTHY) for c in world.running()]
    assert all(h.hooked and h.started for h in health)
    assert world.pod.status.phase == "Running", world.pod.status
    ended_well = {c.name for c in world.pod.spec.containers} - {c.name for c in world.running()}
    for name in ended_well:  # only what its policy leaves alone does not run
        assert find(made, name).restartPolicy != "Always"
    for sidecar in filter(is_sidecar, made.spec.initContainers):
        assert sidecar.name in {c.name for c in world.running()}


def happen(world: World, event: str, data: st.DataObject) -> None:
    alive = world.running()
    one = data.draw(st.sampled_from(alive)) if alive else None
    if event == "time":
        world.now += data.draw(st.integers(0, 400)) * SECOND
    elif event == "crash" and world.sandbox:
        for container_ in alive:
            world.end(container_, 137)
        world.sandbox = replace(world.sandbox, state=SandboxState.NOT_READY)
    elif one is None:
        return
    elif event == "exit":
        world.end(one, data.draw(st.sampled_from([0, 1])))
    elif event == "hook" and one.id in world.health:
        world.health[one.id] = replace(world.health[one.id], hooked=True, started=True)
    elif event == "ill" and not one.name.startswith(("i", "d")):
        world.health[one.id] = replace(world.health[one.id], unhealthy=ILL)
    elif event == "restart" and not one.name.startswith(("i", "d")):
        world.asked[one.name] = one.id
    elif event == "stop" and world.stopping:
        id_ = data.draw(st.sampled_from(sorted(world.stopping)))
        for container_ in alive:
            if container_.id == id_:
                world.end(container_, data.draw(st.sampled_from([0, 143])))


def end_all(world: World) -> None:
    """What the worker does with a pod that is over."""
    for container_ in world.running():
        world.end(container_, 0)
    assert world.decide().over
    world.report()
