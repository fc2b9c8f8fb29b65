"""debug, restart and resize, with a node that only plays one."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from minipod.api import codec, core_v1
from minipod.api.scheme import NODES, PODS
from minipod.cli.errors import CommandError
from minipod.cli.resize import amounts, state_of_resize
from minipod.cli.restart import split_target
from minipod.cli.session import Session
from minipod.cli.watching import wait_for_pod
from minipod.client.node import ProxyRequest, ProxyResponse
from tests.helpers.wait import wait_until
from tests.unit.apiserver.objects import changed, node
from tests.unit.apiserver.serving import ServerThread
from tests.unit.cli.conftest import Cli

PATH = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module", autouse=True)
def here(server: ServerThread) -> None:
    server.call(server.local.create(NODES, node()))


@pytest.fixture(autouse=True)
def web(server: ServerThread) -> Iterator[None]:
    """A pod "web" on a node, with nothing of it started."""
    container = {"name": "app", "image": "minipod/base", "resources": {"requests": {"cpu": "100m"}}}
    sidecar = {"name": "side", "image": "minipod/base", "restartPolicy": "Always"}
    spec = {"nodeName": "here", "containers": [container], "initContainers": [sidecar]}
    server.node.forget()
    with server.client() as api:
        api.create(PATH, {"metadata": {"name": "web"}, "spec": spec})
        yield
        api.delete(f"{PATH}/web", {"gracePeriodSeconds": 0})


def report(server: ServerThread, change: Callable[[core_v1.Pod], object]) -> None:
    """What a kubelet would."""

    def apply(pod: core_v1.Pod) -> None:
        change(pod)

    server.call(server.registry.update(PODS, "web", "default", changed(apply), subresource="status"))


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=action)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def spec_of(server: ServerThread) -> core_v1.PodSpec:
    pod: core_v1.Pod = server.registry.get(PODS, "web", "default").obj
    return pod.spec


def state(**kind: Any) -> core_v1.ContainerState:
    return codec.from_builtins(core_v1.ContainerState, kind)


class TestDebug:
    def test_without_attaching_the_name_is_printed(self, cli: Cli, server: ServerThread) -> None:
        done = cli("debug", "web", "--image=tools", "--target=app", "--env=A=b", "--", "ps", "-e")
        assert (done.code, done.err) == (0, "")
        assert re.fullmatch("debugger-[a-z0-9]{5}\n", done.out)
        [added] = spec_of(server).ephemeralContainers
        assert (added.name, added.image, added.targetContainerName) == (done.out.strip(), "tools", "app")
        assert (added.command, added.args, added.stdin) == (["ps", "-e"], [], None)
        assert [(v.name, v.value) for v in added.env] == [("A", "b")]
        cli("debug", "pod/web", "--image=tools", "-c", "more", "--arguments-only", "--", "x")
        assert [(c.name, c.command, c.args) for c in spec_of(server).ephemeralContainers[1:]] == [
            ("more", [], ["x"])
        ]

    def test_attached_it_is_followed_to_its_end(self, cli: Cli, server: ServerThread) -> None:
        def run() -> None:
            wait_until(lambda: spec_of(server).ephemeralContainers)
            show(state(running={}))
            wait_until(lambda: server.node.requests)
            server.loop.call_soon_threadsafe(server.node.lines.put_nowait, None)
            show(state(terminated={"exitCode": 3}))

        def show(now: core_v1.ContainerState) -> None:
            statuses = [core_v1.ContainerStatus(name="look", state=now)]
            report(server, lambda pod: setattr(pod.status, "ephemeralContainerStatuses", statuses))

        with meanwhile(run):
            done = cli("debug", "web", "--image=tools", "-c", "look", "--attach", "--", "ps")
        assert (done.code, done.out, done.err) == (3, "one\ntwo\n", "")

    def test_a_command_that_is_not_there_is_told(self, cli: Cli, server: ServerThread) -> None:
        never_ran = state(terminated={"exitCode": 128, "reason": "StartError", "message": "exec /x: no"})
        statuses = [core_v1.ContainerStatus(name="look", state=never_ran)]
        report(server, lambda pod: setattr(pod.status, "ephemeralContainerStatuses", statuses))
        server.loop.call_soon_threadsafe(server.node.lines.put_nowait, None)
        done = cli("debug", "web", "--image=tools", "-c", "look", "--attach", "--", "/x")
        assert (done.code, done.err) == (128, "error: container look could not be started: exec /x: no\n")

    def test_the_end_of_a_pipe_reaches_the_process(self, cli: Cli, server: ServerThread) -> None:
        cli("debug", "web", "--image=tools", "-c", "look", "-i", "--pod-running-timeout=10ms")
        [added] = spec_of(server).ephemeralContainers
        assert (added.stdin, added.stdinOnce, added.tty) == (True, True, None)

    def test_a_start_that_does_not_come_says_why(self, cli: Cli, server: ServerThread) -> None:
        waiting = state(waiting={"reason": "ErrImagePull", "message": "no such image"})
        statuses = [core_v1.ContainerStatus(name="look", state=waiting)]
        report(server, lambda pod: setattr(pod.status, "ephemeralContainerStatuses", statuses))
        done = cli("debug", "web", "--image=x", "-c", "look", "--attach", "--pod-running-timeout=10ms")
        assert done.code == 1
        assert "timed out waiting for pod/web to run" in done.err
        assert "container look: ErrImagePull: no such image" in done.err

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (["--target=nobody"], "--target: container nobody is not valid for pod web; it has side, app"),
            (["-c", "app"], "the pod has a container app already"),
            (["-t"], "-t needs -i"),
            (["-c", "A_b"], "Invalid value"),
            (["more"], "debug takes one POD"),
        ],
    )
    def test_what_cannot_be(self, cli: Cli, server: ServerThread, args: list[str], said: str) -> None:
        done = cli("debug", "web", "--image=x", *args)
        assert (done.code, done.out) == (1, "")
        assert said in done.err
        assert spec_of(server).ephemeralContainers == []


class TestRestart:
    def test_it_waits_for_new_processes(
        self, cli: Cli, server: ServerThread, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[ProxyRequest] = []

        async def proxy(request: ProxyRequest) -> ProxyResponse:
            asked.append(request)
            uid = server.registry.get(PODS, "web", "default").obj.metadata.uid
            body = {"pod": {"uid": uid}, "containers": [{"name": "app", "containerID": "minipod://1"}]}
            return ProxyResponse(status=200, body=json.dumps(body).encode())

        def run() -> None:
            show("minipod://1")
            wait_until(lambda: asked)
            show("minipod://2")

        def show(id_: str) -> None:
            statuses = [core_v1.ContainerStatus(name="app", containerID=id_, state=state(running={}))]
            report(server, lambda pod: setattr(pod.status, "containerStatuses", statuses))

        monkeypatch.setattr(server.node, "proxy", proxy)
        with meanwhile(run):
            done = cli("restart", "web")
        assert (done.code, done.out, done.err) == (0, "pod/web restarted\n", "")
        assert [(r.method, r.path, dict(r.query)) for r in asked] == [
            ("POST", "/pods/default/web/restart", {})
        ]
        done = cli("restart", "pod/web/app", "--wait=false")
        assert done.out == "container app of pod/web is restarting\n"
        assert dict(asked[-1].query) == {"container": "app"}
        late = cli("restart", "web", "-c", "app", "--timeout=10ms")
        assert (late.code, late.out) == (0, "container app of pod/web restarted\n")
        show("minipod://1")
        late = cli("restart", "web", "--timeout=10ms")
        assert (late.code, late.out) == (1, "")
        assert "pod/web is restarting, but has not come up in 10ms" in late.err

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("web", ("web", "")),
            ("web/app", ("web", "app")),
            ("pod/web", ("web", "")),
            ("po/web/app", ("web", "app")),
            ("pod", ("pod", "")),
        ],
    )
    def test_how_it_is_named(self, text: str, found: tuple[str, str]) -> None:
        assert split_target(text) == found

    @pytest.mark.parametrize("text", ["", "/", "web/", "/app", "a/b/c", "pod/a/b/c"])
    def test_names_that_are_none(self, text: str) -> None:
        with pytest.raises(CommandError, match="is not POD or POD/CONTAINER"):
            split_target(text)


class TestResize:
    def test_it_waits_until_it_is_in_force(self, cli: Cli, server: ServerThread) -> None:
        def run() -> None:
            wait_until(lambda: spec_of(server).containers[0].resources.limits)  # type: ignore[union-attr]
            condition = core_v1.PodCondition(type="PodResizeInProgress", status="True")
            report(server, lambda pod: observe(pod, [condition]))
            report(server, lambda pod: observe(pod, []))

        with meanwhile(run):
            done = cli("resize", "web", "-c", "app", "--limits=cpu=1,memory=64Mi", "--requests", "cpu=200m")
        assert (done.code, done.out, done.err) == (0, "pod/web resized\n", "")
        resources = spec_of(server).containers[0].resources
        assert resources is not None
        assert (resources.limits, resources.requests["cpu"]) == ({"cpu": "1", "memory": "64Mi"}, "200m")

    def test_what_this_node_cannot_do_is_said(self, cli: Cli, server: ServerThread) -> None:
        def run() -> None:
            wait_until(lambda: spec_of(server).containers[0].resources.limits)  # type: ignore[union-attr]
            condition = core_v1.PodCondition(
                type="PodResizePending", status="True", reason="Infeasible", message="no memory controller"
            )
            report(server, lambda pod: observe(pod, [condition]))

        with meanwhile(run):
            done = cli("resize", "web", "-c", "app", "--limits=cpu=1")
        assert (done.code, done.out) == (1, "")
        assert done.err == "error: the resize of pod/web cannot be: Infeasible: no memory controller\n"

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            ([], "say what to change"),
            (["--limits=disk=1"], '--limits: "disk=1" is not cpu=AMOUNT or memory=AMOUNT'),
            (["--limits=cpu=x"], "spec.containers[0].resources.limits[cpu]: Invalid value"),
            (["--requests=cpu=1", "--limits=cpu=500m"], "must be less than or equal to cpu limit of 500m"),
            (["-c", "nobody", "--limits=cpu=1"], "container nobody is not valid for pod web"),
        ],
    )
    def test_what_cannot_be(self, cli: Cli, args: list[str], said: str) -> None:
        done = cli("resize", "web", *args)
        assert (done.code, done.out) == (1, "")
        assert said in done.err

    def test_amounts(self) -> None:
        assert amounts("cpu=1,memory=64Mi", "--limits") == {"cpu": "1", "memory": "64Mi"}
        assert amounts("", "--limits") == {}

    @pytest.mark.parametrize(
        ("status", "settled"),
        [
            ({}, (False, "the kubelet has not seen it yet")),
            ({"observedGeneration": 2}, (True, "")),
            ({"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]}, (True, "")),
            (
                {
                    "observedGeneration": 2,
                    "conditions": [
                        {
                            "type": "PodResizePending",
                            "status": "True",
                            "reason": "Deferred",
                            "message": "full",
                        }
                    ],
                },
                (False, "Deferred: full"),
            ),
        ],
    )
    def test_when_it_is_settled(self, status: Any, settled: tuple[bool, str]) -> None:
        assert state_of_resize({"status": status}, 2) == settled


def test_another_pod_of_the_name_is_not_waited_for(server: ServerThread) -> None:
    session = Session(socket=str(server.socket))
    with pytest.raises(CommandError, match="pod/web was deleted before it was done"):
        wait_for_pod(session, "web", "an-earlier-uid", lambda pod: True, seconds=60, before="it was done")
    session.close()


def observe(pod: core_v1.Pod, conditions: list[core_v1.PodCondition]) -> None:
    pod.status.observedGeneration = pod.metadata.generation
    pod.status.conditions = conditions


def test_describe_shows_sidecars_hooks_and_ephemeral_containers(cli: Cli, server: ServerThread) -> None:
    cli("debug", "web", "--image=tools", "-c", "look")
    done = cli("describe", "pod", "web")
    lines = [line.rstrip() for line in done.out.splitlines()]
    assert [line for line in lines if line.endswith("ontainers:")] == [
        "Init Containers:",
        "Containers:",
        "Ephemeral Containers:",
    ]
    assert "  look:" in lines
