"""The life of pods on a real node, as the Pod lifecycle documentation tells it."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from minipod.kubelet.settings import CgroupEnforcement
from minipod.runtime.types import SandboxState
from tests.kernel.kubelet.node import FOREVER, Node, container, is_ready, main_status

DEAF = "trap '' TERM; while :; do sleep 1000; done"


def conditions(pod: object) -> dict[str, str]:
    return {c.type: c.status for c in pod.status.conditions}  # type: ignore[attr-defined]


async def test_a_pod_becomes_ready(node: Node) -> None:
    await node.create("web")
    pod = await node.ready("web")
    assert set(conditions(pod).values()) == {"True"}
    assert pod.status.phase == "Running"
    assert pod.status.podIP == node.network.attachment(pod.metadata.uid).ip
    main = main_status(pod)
    assert main.containerID.startswith("minipod://")
    assert main.state.running.startedAt
    assert pod.status.observedGeneration == pod.metadata.generation
    await node.event("web", "Started")
    assert {e.reason for e in await node.events("web")} >= {"Pulled", "Created", "Started"}


async def test_a_deleted_pod_leaves_nothing(node: Node) -> None:
    await node.create("web")
    pod = await node.ready("web")
    uid = pod.metadata.uid
    settings = node.settings()
    logs = settings.log_dir / f"default_web_{uid}"
    assert logs.exists()
    await node.delete("web")
    await node.gone("web")
    assert node.runtime.status(uid) is None
    assert node.network.attachment(uid) is None
    assert not (settings.data_dir / "pods" / uid).exists()
    assert not logs.exists()


async def test_a_pod_that_ends_keeps_its_status_and_logs(node: Node) -> None:
    await node.create("once", container("echo hello; exit 3"), restartPolicy="Never")
    pod = await node.phase("once", "Failed")
    ended = main_status(pod).state.terminated
    assert (ended.exitCode, ended.reason) == (3, "Error")
    assert conditions(pod)["Ready"] == "False"
    await node.until(lambda: node.runtime.status(pod.metadata.uid) is None, "the sandbox to go")
    assert await node.logs("once") == "hello\n"
    assert (await node.get("once")).status.podIP == pod.status.podIP


async def test_a_pod_succeeds_when_all_its_containers_do(node: Node) -> None:
    await node.create("both", container("exit 0", "a"), container("exit 0", "b"), restartPolicy="OnFailure")
    pod = await node.phase("both", "Succeeded")
    assert {s.state.terminated.reason for s in pod.status.containerStatuses} == {"Completed"}


async def test_init_containers_run_in_order_and_first(node: Node) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    said = await node.output(
        "ordered",
        "cat /v/order",
        fields=mount,
        initContainers=[
            container("sleep 0.1; echo one >> /v/order", "one", **mount),
            container("echo two >> /v/order", "two", **mount),
        ],
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    assert said == "one\ntwo\n"


async def test_a_failing_init_container_is_retried(node: Node) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    await node.create(
        "retry",
        initContainers=[container("test -e /v/x || { touch /v/x; exit 1; }", "init", **mount)],
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    pod = await node.ready("retry")
    init = pod.status.initContainerStatuses[0]
    assert (init.restartCount, init.ready) == (1, True)
    assert init.lastState.terminated.exitCode == 1


async def test_a_failing_init_container_fails_a_pod_that_never_restarts(node: Node) -> None:
    await node.create("badinit", initContainers=[container("exit 4", "init")], restartPolicy="Never")
    pod = await node.phase("badinit", "Failed")
    assert pod.status.initContainerStatuses[0].state.terminated.exitCode == 4
    assert conditions(pod)["Initialized"] == "False"
    assert main_status(pod).state.waiting.reason == "PodInitializing"


async def test_crash_loop_back_off(node: Node) -> None:
    await node.create("crash", container("echo try; exit 1"))
    pod = await node.wait(
        "crash",
        lambda p: (w := main_status(p).state.waiting) and w.reason == "CrashLoopBackOff",
        "to be in CrashLoopBackOff",
    )
    assert pod.status.phase == "Running"
    assert main_status(pod).lastState.terminated.exitCode == 1
    assert "restarting failed container=main pod=crash_default(" in main_status(pod).state.waiting.message
    await node.wait("crash", lambda p: main_status(p).restartCount >= 3, "to have restarted three times")
    event = await node.event("crash", "BackOff")
    assert event.message.startswith("Back-off restarting failed container main in pod crash_default(")
    await node.until(lambda: _counted(node, "crash", "BackOff"), "the event to be counted up")


async def _counted(node: Node, name: str, reason: str) -> bool:
    return any(e.reason == reason and (e.count or 0) >= 2 for e in await node.events(name))


async def test_a_program_that_is_not_there(node: Node) -> None:
    bad = {"name": "main", "image": "minipod/base", "command": ["/bin/nope"]}
    await node.create("nope", bad, restartPolicy="Never")
    ended = main_status(await node.phase("nope", "Failed")).state.terminated
    assert (ended.reason, ended.exitCode) == ("StartError", 128)
    assert "/bin/nope" in ended.message
    assert "no such file" in ended.message
    event = await node.event("nope", "Failed")
    assert "/bin/nope" in event.message


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        (
            {"securityContext": {"runAsNonRoot": True}},
            "CreateContainerConfigError",
            "image will run as root",
        ),
        ({"securityContext": {"capabilities": {"add": ["FLY"]}}}, "CreateContainerError", "FLY"),
        ({"image": "no/such:1"}, "ErrImagePull", "no/such:1"),
        ({"image": "no/such:1", "imagePullPolicy": "Never"}, "ErrImageNeverPull", "no/such:1"),
    ],
)
async def test_what_cannot_start_says_why(
    node: Node, fields: dict[str, object], reason: str, words: str
) -> None:
    await node.create("stuck", container(**fields))
    pod = await node.wait(
        "stuck", lambda p: (s := main_status(p).state) and s.waiting and s.waiting.reason == reason, reason
    )
    assert pod.status.phase == "Pending"
    assert words in main_status(pod).state.waiting.message
    await node.event("stuck", "Failed")
    await node.delete("stuck", grace=1)
    await node.gone("stuck")


async def test_an_image_that_arrives_is_used_at_once(node: Node) -> None:
    await node.create("early", container(image="later:1"))
    await node.wait(
        "early",
        lambda p: (w := main_status(p).state.waiting) and w.reason == "ImagePullBackOff",
        "to wait for its image",
    )
    await node.images.build_rootfs(node.base_root(), "later:1")
    await node.ready("early")


async def test_the_deadline_ends_a_pod(node: Node) -> None:
    await node.create("deadline", activeDeadlineSeconds=1, terminationGracePeriodSeconds=1)
    pod = await node.phase("deadline", "Failed")
    assert pod.status.reason == "DeadlineExceeded"
    await node.event("deadline", "DeadlineExceeded")


async def test_a_changed_image_replaces_the_container(node: Node) -> None:
    await node.images.build_rootfs(node.base_root(), "other:1")
    await node.create("changed")
    pod = await node.ready("changed")
    from minipod.api import codec

    new = codec.copy(pod)
    new.spec.containers[0].image = "other:1"
    await node.update(new)
    after = await node.wait(
        "changed", lambda p: main_status(p).restartCount == 1 and is_ready(p), "to be replaced"
    )
    assert main_status(after).image == "other:1"
    event = await node.event("changed", "Killing")
    assert event.message == "Container main definition changed, will be restarted"


# -- ends ----------------------------------------------------------------------------------------------------------


async def test_deletion_asks_first(node: Node, tmp_path: Path) -> None:
    script = "trap 'echo asked > /h/said; exit 0' TERM; echo up; while :; do sleep 1000 & wait $!; done"
    await node.create(
        "asked",
        container(script, volumeMounts=[{"name": "h", "mountPath": "/h"}]),
        volumes=[{"name": "h", "hostPath": {"path": str(tmp_path)}}],
    )
    await node.ready("asked")
    await node.until(lambda: node.logs("asked"), "its trap to be set")
    await node.delete("asked")
    await node.gone("asked")
    assert (tmp_path / "said").read_text() == "asked\n"
    assert (await node.event("asked", "Killing")).message == "Stopping container main"


async def test_what_does_not_listen_is_killed_after_its_grace_period(node: Node) -> None:
    await node.create("deaf", container(DEAF + "; echo never"), terminationGracePeriodSeconds=1)
    await node.ready("deaf")
    await node.delete("deaf")
    pod = await node.get("deaf")
    assert pod.metadata.deletionTimestamp
    await node.gone("deaf")


async def test_a_deletion_can_be_hurried(node: Node) -> None:
    await node.create("slow", container(DEAF), terminationGracePeriodSeconds=600)
    await node.ready("slow")
    await node.delete("slow")
    await node.delete("slow", grace=1)
    await node.gone("slow")


async def test_a_forced_deletion_is_immediate_and_leaves_nothing_running(node: Node) -> None:
    await node.create("forced", container(DEAF), terminationGracePeriodSeconds=600)
    uid = (await node.ready("forced")).metadata.uid
    await node.delete("forced", grace=0)
    await node.gone("forced")
    await node.until(lambda: node.runtime.status(uid) is None, "its processes to go")


async def test_a_pod_made_anew_under_its_name_is_another_pod(node: Node) -> None:
    await node.create("same", container(DEAF))
    first = await node.ready("same")
    await node.delete("same", grace=0)
    await node.create("same")
    second = await node.ready("same")
    assert first.metadata.uid != second.metadata.uid
    await node.until(lambda: node.runtime.status(first.metadata.uid) is None, "the first one to go")


async def test_a_pod_is_deleted_while_it_waits_for_its_image(node: Node) -> None:
    await node.create("never", container(image="no/such:1"))
    await node.event("never", "Failed")
    await node.delete("never")
    await node.gone("never")


# -- what dies -----------------------------------------------------------------------------------------------------


async def test_a_container_killed_from_outside_is_restarted(node: Node) -> None:
    await node.create("killed")
    pod = await node.ready("killed")
    (status,) = node.runtime.status(pod.metadata.uid).containers
    os.kill(status.pid, signal.SIGKILL)
    after = await node.wait(
        "killed", lambda p: main_status(p).restartCount == 1 and is_ready(p), "to restart"
    )
    last = main_status(after).lastState.terminated
    assert (last.exitCode, last.signal, last.reason) == (137, 9, "Error")
    assert after.status.podIP == pod.status.podIP


async def test_when_the_infra_process_dies_the_sandbox_is_made_anew(node: Node) -> None:
    await node.create("reborn", initContainers=[container("exit 0", "init")])
    pod = await node.ready("reborn")
    uid = pod.metadata.uid
    os.kill(node.runtime.status(uid).infra_pid, signal.SIGKILL)
    after = await node.wait(
        "reborn", lambda p: main_status(p).restartCount == 1 and is_ready(p), "to be reborn"
    )
    assert after.status.initContainerStatuses[0].restartCount == 1
    assert node.runtime.status(uid).attempt == 1
    assert node.runtime.status(uid).state is SandboxState.READY
    await node.event("reborn", "SandboxChanged")


async def test_when_the_infra_process_of_a_pod_that_never_restarts_dies_it_has_failed(node: Node) -> None:
    await node.create("final", restartPolicy="Never")
    uid = (await node.ready("final")).metadata.uid
    os.kill(node.runtime.status(uid).infra_pid, signal.SIGKILL)
    pod = await node.phase("final", "Failed")
    assert main_status(pod).state.terminated.exitCode == 137


# -- refused -------------------------------------------------------------------------------------------------------


async def test_an_unsafe_sysctl_is_refused(node: Node) -> None:
    await node.create("unsafe", securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})
    pod = await node.phase("unsafe", "Failed")
    assert pod.status.reason == "SysctlForbidden"
    assert pod.status.message.startswith("Pod was rejected: forbidden sysctl")
    await node.event("unsafe", "SysctlForbidden")


async def test_limits_without_controllers_run_with_a_warning_in_best_effort(node: Node) -> None:
    if "cpu" in node.settings().host.controllers:
        pytest.skip("this host has the cpu controller")
    await node.create("limited", container(resources={"limits": {"cpu": "1"}}))
    await node.ready("limited")
    assert (
        "spec.containers[0].resources.limits.cpu"
        in (await node.event("limited", "CgroupNotEnforced")).message
    )


async def test_limits_without_controllers_are_refused_when_strict(
    make_node: Callable[..., Awaitable[Node]],
) -> None:
    node = await make_node(enforcement=CgroupEnforcement.STRICT)
    if "cpu" in node.settings().host.controllers:
        pytest.skip("this host has the cpu controller")
    await node.create("limited", container(resources={"requests": {"cpu": "100m"}}))
    pod = await node.phase("limited", "Failed")
    assert pod.status.reason == "CgroupControllerMissing"
    event = await node.event("limited", "CgroupControllerMissing")
    assert "--cgroup-enforcement=best-effort" in event.message
    await node.create("plain")
    await node.ready("plain")


async def test_a_missing_host_path_is_a_failed_mount_until_it_is_there(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "later"
    await node.create(
        "mount",
        container(volumeMounts=[{"name": "h", "mountPath": "/h"}]),
        volumes=[{"name": "h", "hostPath": {"path": str(path), "type": "Directory"}}],
    )
    event = await node.event("mount", "FailedMount")
    assert event.message == (
        f'MountVolume.SetUp failed for volume "h" : hostPath type check failed: {path} is not a directory'
    )
    path.mkdir()
    await node.ready("mount")


async def test_two_pods_cannot_have_one_host_port(node: Node) -> None:
    ports = [{"containerPort": 80, "hostPort": 8080}]
    await node.create("first", container(ports=ports))
    await node.ready("first")
    await node.create("second", container(ports=ports))
    event = await node.event("second", "FailedCreatePodSandBox")
    assert "8080" in event.message
    await node.delete("first")
    await node.ready("second")


async def test_many_pods_at_once(node: Node) -> None:
    for number in range(12):
        await node.create(f"p{number}", container(FOREVER, "a"), container(FOREVER, "b"))
    ips = {(await node.ready(f"p{number}")).status.podIP for number in range(12)}
    assert len(ips) == 12
