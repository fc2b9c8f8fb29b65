"""Lifecycle hooks on a real node: when they run, how often, and what their failure does."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from minipod.api import codec
from minipod.api.timestamps import to_epoch_us
from minipod.kubelet.server.container_lookup import container_status
from tests.kernel.kubelet.node import FOREVER, Node, container, is_ready, main_status

SHARED: dict[str, Any] = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
VOLUMES: dict[str, Any] = {"volumes": [{"name": "v", "emptyDir": {}}]}


def hook(script: str) -> dict[str, Any]:
    return {"exec": {"command": ["sh", "-c", script]}}


async def read(node: Node, name: str, path: str) -> str:
    code, text = await node.exec(name, "cat", path)
    assert code == 0, text
    return text


async def wait_for_file(node: Node, uid: str, name: str) -> None:
    path = node.settings().data_dir / "pods" / uid / "volumes/kubernetes.io~empty-dir/v" / name
    await node.until(path.exists, f"{name} to be written")


async def end_by_deadline(node: Node) -> None:
    """Of a pod "web" that says something once its traps are set."""
    await node.ready("web")
    await node.until(lambda: node.logs("web"), "the traps to be set")
    ending = codec.copy(await node.get("web"))
    ending.spec.activeDeadlineSeconds = 1
    await node.update(ending)


async def test_a_container_is_not_running_before_its_post_start_hook_is_over(node: Node) -> None:
    script = "touch /v/begun; until [ -e /v/go ]; do usleep 1000; done; echo done well"
    await node.create("web", container(lifecycle={"postStart": hook(script)}, **SHARED), **VOLUMES)
    uid = (await node.get("web")).metadata.uid
    await wait_for_file(node, uid, "begun")
    pod = await node.wait("web", lambda p: main_status(p).state and main_status(p).state.waiting)
    assert main_status(pod).state.waiting.reason == "ContainerCreating"
    assert not is_ready(pod)
    assert (await node.exec("web", "touch", "/v/go"))[0] == 0
    pod = await node.ready("web")
    assert main_status(pod).state.running
    event = await node.event("web", "PostStartHookCompleted")
    assert "done well" in event.message
    await node.event("web", "PostStartHookStarted")


async def test_a_post_start_hook_runs_beside_the_entrypoint(node: Node) -> None:
    script = "until [ -e /v/entered ]; do usleep 1000; done"
    await node.create(
        "web",
        container(f"touch /v/entered; {FOREVER}", lifecycle={"postStart": hook(script)}, **SHARED),
        **VOLUMES,
    )
    await node.ready("web")


async def test_a_post_start_hook_that_fails_kills_the_container(node: Node) -> None:
    broken = hook("echo no database; exit 7")
    await node.create("web", container(lifecycle={"postStart": broken}), restartPolicy="Never")
    pod = await node.phase("web", "Succeeded")  # the entrypoint heeds its SIGTERM
    assert main_status(pod).state.terminated.exitCode == 0
    event = await node.event("web", "FailedPostStartHook")
    assert event.type == "Warning"
    assert "no database" in event.message
    killing = await node.event("web", "Killing")
    assert "FailedPostStartHook" in killing.message


async def test_after_a_failed_hook_the_restart_policy_looks_at_the_exit_code(node: Node) -> None:
    made = container(lifecycle={"postStart": hook("exit 7")})
    await node.create("web", made, restartPolicy="OnFailure")
    pod = await node.phase("web", "Succeeded")
    assert main_status(pod).restartCount == 0


async def test_a_post_start_hook_that_fails_once_runs_again_with_the_next_attempt(node: Node) -> None:
    script = "if [ -e /v/tried ]; then exit 0; fi; touch /v/tried; exit 1"
    await node.create("web", container(lifecycle={"postStart": hook(script)}, **SHARED), **VOLUMES)
    pod = await node.ready("web")
    assert main_status(pod).restartCount == 1


async def test_a_post_start_hook_that_takes_too_long_has_failed(make_node: Any) -> None:
    node = await make_node(post_start_timeout=0.2)
    await node.create("web", container(lifecycle={"postStart": hook("sleep 1000")}), restartPolicy="Never")
    await node.phase("web", "Succeeded")
    event = await node.event("web", "FailedPostStartHook")
    assert "timed out" in event.message


async def test_containers_start_after_the_post_start_hook_of_the_one_before(node: Node) -> None:
    script = "usleep 100000; touch /v/ready"
    await node.create(
        "web",
        container(name="proxy", lifecycle={"postStart": hook(script)}, **SHARED),
        container(f"[ -e /v/ready ] || exit 1; {FOREVER}", "app", **SHARED),
        restartPolicy="Never",
        **VOLUMES,
    )
    await node.ready("web")


async def test_a_post_start_hook_is_not_run_again_by_the_next_daemon(node: Node) -> None:
    await node.create(
        "web", container(lifecycle={"postStart": hook("echo x >> /v/runs")}, **SHARED), **VOLUMES
    )
    await node.ready("web")
    await node.restart()
    await node.ready("web")
    assert await read(node, "web", "/v/runs") == "x\n"


async def test_a_post_start_hook_that_a_daemon_left_unfinished_is_told_of_once(node: Node) -> None:
    script = "echo x >> /v/runs; touch /v/begun; sleep 1000"
    await node.create("web", container(lifecycle={"postStart": hook(script)}, **SHARED), **VOLUMES)
    await wait_for_file(node, (await node.get("web")).metadata.uid, "begun")
    await node.restart()
    await node.ready("web")
    event = await node.event("web", "FailedPostStartHook")
    assert "cut short by the end of minipod's daemon" in event.message
    await node.restart()
    await node.ready("web")
    assert (await node.event("web", "FailedPostStartHook")).count == 1
    assert await read(node, "web", "/v/runs") == "x\n"


@pytest.mark.parametrize("action", [{"sleep": {"seconds": 20}}, hook("sleep 1000")])
async def test_a_hook_ends_with_its_container_and_says_so(node: Node, action: dict[str, Any]) -> None:
    made = container("usleep 100000; exit 3", lifecycle={"postStart": action})
    await node.create("web", made, restartPolicy="Never", terminationGracePeriodSeconds=30)
    await node.phase("web", "Failed")
    assert (await node.event("web", "FailedPostStartHook")).type == "Warning"


async def test_no_note_of_a_hook_outlives_its_container(node: Node) -> None:
    made = container("usleep 50000", lifecycle={"postStart": {"sleep": {"seconds": 0}}})
    uid = (await node.create("web", made)).metadata.uid
    await node.wait("web", lambda p: main_status(p).restartCount >= 2)
    assert len(list(node.settings().run_dir.glob(f"**/{uid}/hooks/*"))) <= 1


async def test_a_pre_stop_hook_comes_before_the_signal(node: Node) -> None:
    script = "trap 'cat /v/hook; exit 3' TERM; echo up; while :; do sleep 1000 & wait $!; done"
    await node.create(
        "web",
        container(
            script, lifecycle={"preStop": hook("usleep 100000; echo was here > /v/hook; echo bye")}, **SHARED
        ),
        **VOLUMES,
        restartPolicy="Never",
    )
    await end_by_deadline(node)
    pod = await node.phase("web", "Failed")
    assert pod.status.reason == "DeadlineExceeded"
    assert main_status(pod).state.terminated.exitCode == 3
    assert await node.logs("web") == "up\nwas here\n"
    event = await node.event("web", "PreStopHookCompleted")
    assert "bye" in event.message


async def test_a_pre_stop_hook_runs_when_a_pod_is_deleted(node: Node, tmp_path: Any) -> None:
    mark = tmp_path / "mark"
    mark.mkdir()
    await node.create(
        "web",
        container(
            lifecycle={"preStop": hook("echo stopped > /m/mark")},
            volumeMounts=[{"name": "m", "mountPath": "/m"}],
        ),
        volumes=[{"name": "m", "hostPath": {"path": str(mark)}}],
    )
    await node.ready("web")
    await node.delete("web")
    await node.gone("web")
    assert (mark / "mark").read_text() == "stopped\n"


async def test_a_pre_stop_hook_that_hangs_costs_the_grace_period_and_two_seconds(node: Node) -> None:
    deaf = "trap 'echo term' TERM; while :; do sleep 1000 & wait $!; done"
    await node.create("web", container(deaf, lifecycle={"preStop": hook("sleep 1000")}))
    pod = await node.ready("web")
    began = time.monotonic()
    await node.delete("web", grace=1)
    await node.gone("web")
    took = time.monotonic() - began
    assert 2.9 < took < 6
    event = await node.event("web", "FailedPreStopHook")
    assert "sleep 1000" in event.message
    assert node.runtime.status(pod.metadata.uid) is None


async def test_a_pre_stop_hook_that_fails_does_not_keep_the_container(node: Node) -> None:
    await node.create("web", container(lifecycle={"preStop": hook("echo oh; exit 9")}))
    await node.ready("web")
    await node.delete("web")
    await node.gone("web")
    assert "oh" in (await node.event("web", "FailedPreStopHook")).message


async def test_sleep_and_network_hooks(node: Node) -> None:
    serve = "mkdir -p /w; echo ok > /w/index.html; httpd -p 8080 -h /w; " + FOREVER
    await node.create(
        "web",
        container(
            serve,
            ports=[{"name": "http", "containerPort": 8080}],
            lifecycle={
                "postStart": {"sleep": {"seconds": 1}},
                "preStop": {"httpGet": {"port": "http", "path": "/index.html"}},
            },
        ),
    )
    pod = await node.ready("web")
    ready = next(c for c in pod.status.conditions if c.type == "Ready")
    assert to_epoch_us(ready.lastTransitionTime) - to_epoch_us(pod.metadata.creationTimestamp) >= 1_000_000
    await node.delete("web")
    await node.gone("web")
    assert "http-get" in (await node.event("web", "PreStopHookCompleted")).message


async def test_no_pre_stop_hook_for_a_container_that_ended_by_itself(node: Node) -> None:
    await node.create(
        "once", container("exit 0", lifecycle={"preStop": hook("true")}), restartPolicy="Never"
    )
    await node.phase("once", "Succeeded")
    assert not [e for e in await node.events("once") if "PreStop" in e.reason]


async def test_shortening_the_grace_period_cuts_a_hook_short(node: Node) -> None:
    await node.create(
        "web", container(lifecycle={"preStop": hook("sleep 1000")}), terminationGracePeriodSeconds=600
    )
    await node.ready("web")
    await node.delete("web")
    await node.event("web", "PreStopHookStarted")
    await node.delete("web", grace=1)
    async with asyncio.timeout(10):
        await node.gone("web")


async def test_the_stop_signal_of_the_lifecycle(node: Node) -> None:
    script = "trap 'exit 5' USR1; trap 'exit 6' TERM; echo up; while :; do sleep 1000 & wait $!; done"
    await node.create(
        "web",
        container(script, lifecycle={"stopSignal": "SIGUSR1"}),
        os={"name": "linux"},
        restartPolicy="Never",
    )
    await end_by_deadline(node)
    pod = await node.phase("web", "Failed")
    assert main_status(pod).state.terminated.exitCode == 5


async def test_the_status_of_a_hooked_container_among_others(node: Node) -> None:
    script = "until [ -e /v/go ]; do usleep 1000; done"
    await node.create(
        "web",
        container(name="plain", **SHARED),
        container(name="hooked", lifecycle={"postStart": hook(script)}, **SHARED),
        **VOLUMES,
    )
    pod = await node.wait(
        "web", lambda p: (s := container_status(p, "plain")) and s.state and s.state.running
    )
    hooked = container_status(pod, "hooked")
    assert hooked is not None
    assert not hooked.ready
    assert hooked.started is False
    await node.exec("web", "touch", "/v/go", container="plain")
    await node.ready("web")
