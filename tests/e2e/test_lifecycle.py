"""The life of a pod as the Kubernetes documentation tells it, on real processes."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.daemon import POD_CIDR, Daemon
from tests.helpers.manifests import FOREVER, container, pod
from tests.helpers.wait import wait_until

ALL_TRUE = {"PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"}


def conditions(found: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: c["status"] for c in found["status"]["conditions"]}


def main_status(found: dict[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = found["status"]["containerStatuses"][0]
    return status


def reasons(node: Daemon, name: str) -> list[str]:
    return [e["reason"] for e in node.events(name)]


def test_a_pod_becomes_ready_with_the_status_kubernetes_shows(node: Daemon) -> None:
    node.apply(pod("plain", labels={"app": "plain"}))
    found = node.wait_pod("plain")
    status = found["status"]
    assert status["phase"] == "Running"
    assert {t for t, s in conditions(found).items() if s == "True"} == ALL_TRUE
    assert ipaddress.ip_address(status["podIP"]) in ipaddress.ip_network(POD_CIDR)
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIP"]
    assert status["startTime"]
    assert status["qosClass"] == "BestEffort"
    assert found["spec"]["nodeName"] == node.node
    main = main_status(found)
    assert main["ready"]
    assert main["started"]
    assert main["restartCount"] == 0
    assert main["containerID"].startswith("minipod://")
    assert main["imageID"]
    assert main["state"]["running"]["startedAt"]
    assert {"Scheduled", "Pulled", "Created", "Started"} <= set(reasons(node, "plain"))
    row = node.out("get", "pods", "plain", "--no-headers").split()
    assert row[:4] == ["plain", "1/1", "Running", "0"]


def test_init_containers_run_in_order_and_before_the_others(node: Daemon) -> None:
    mount = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    node.apply(
        pod(
            "ordered",
            container("cat /shared/order; " + FOREVER, **mount),
            initContainers=[
                container("sleep 0.2; echo one >> /shared/order", "one", **mount),
                container("echo two >> /shared/order", "two", **mount),
            ],
            volumes=[{"name": "shared", "emptyDir": {}}],
        )
    )
    found = node.wait_pod("ordered")
    wait_until(lambda: node.out("logs", "ordered") == "one\ntwo\n")
    inits = found["status"]["initContainerStatuses"]
    assert [s["state"]["terminated"]["reason"] for s in inits] == ["Completed", "Completed"]
    first, second = (s["state"]["terminated"] for s in inits)
    assert first["finishedAt"] <= second["startedAt"]


def test_a_failing_init_container_fails_a_pod_that_never_restarts(node: Daemon) -> None:
    node.apply(pod("badinit", initContainers=[container("exit 4", "init")], restartPolicy="Never"))
    found = node.wait_phase("badinit", "Failed")
    assert found["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 4
    assert conditions(found)["Initialized"] == "False"
    assert "Init:Error" in node.out("get", "pod", "badinit")


def test_a_failing_init_container_is_retried_until_it_succeeds(node: Daemon) -> None:
    script = "if [ -e /shared/again ]; then exit 0; fi; touch /shared/again; exit 1"
    mount = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    node.apply(
        pod(
            "retry",
            initContainers=[container(script, "init", **mount)],
            volumes=[{"name": "shared", "emptyDir": {}}],
        )
    )
    found = node.wait_pod("retry")
    assert found["status"]["initContainerStatuses"][0]["restartCount"] == 1


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [("OnFailure", 0, "Succeeded"), ("Never", 0, "Succeeded"), ("Never", 3, "Failed")],
)
def test_an_end_that_is_final(node: Daemon, policy: str, code: int, phase: str) -> None:
    name = f"end-{policy.lower()}-{code}"
    node.apply(pod(name, container(f"exit {code}"), restartPolicy=policy))
    found = node.wait_phase(name, phase)
    ended = main_status(found)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (code, "Error" if code else "Completed")
    assert ended["startedAt"]
    assert ended["finishedAt"]
    assert conditions(found)["Ready"] == "False"


@pytest.mark.parametrize(("policy", "code"), [("Always", 0), ("Always", 1), ("OnFailure", 1)])
def test_an_end_that_restarts_keeps_the_pod_running_in_crash_loop(
    node: Daemon, policy: str, code: int
) -> None:
    name = f"again-{policy.lower()}-{code}"
    node.apply(pod(name, container(f"echo attempt; exit {code}"), restartPolicy=policy))
    found = wait_until(
        lambda: (p := node.pod(name)) and main_status_or({}, p).get("restartCount", 0) >= 3 and p
    )
    assert found["status"]["phase"] == "Running"
    assert main_status(found)["lastState"]["terminated"]["exitCode"] == code
    wait_until(lambda: "CrashLoopBackOff" in node.out("get", "pod", name))
    assert "BackOff" in reasons(node, name)
    node.cli("delete", "pod", name)


def main_status_or(default: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    statuses = found.get("status", {}).get("containerStatuses") or [default]
    first: dict[str, Any] = statuses[0]
    return first


def test_a_pod_fails_only_when_every_container_has_ended(node: Daemon) -> None:
    node.apply(pod("two", container("exit 1", "bad"), container(FOREVER, "good"), restartPolicy="Never"))
    wait_until(
        lambda: any(
            "terminated" in s.get("state", {})
            for s in node.pod("two")["status"].get("containerStatuses", [])
        )
    )
    found = node.pod("two")
    assert found["status"]["phase"] == "Running"
    assert conditions(found)["Ready"] == "False"


def test_a_signal_is_reported_as_kubernetes_does(node: Daemon) -> None:
    node.apply(
        pod("signalled", container("kill -KILL $$$$"), restartPolicy="Never", shareProcessNamespace=True)
    )
    ended = main_status(node.wait_phase("signalled", "Failed"))["state"]["terminated"]
    assert ended["exitCode"] == 137


def test_a_missing_program_names_the_file(node: Daemon) -> None:
    bad = {"name": "main", "image": "minipod/base", "command": ["/bin/nope"]}
    node.apply(pod("nope", bad, restartPolicy="Never"))
    ended = main_status(node.wait_phase("nope", "Failed"))["state"]["terminated"]
    assert ended["reason"] == "StartError"
    assert ended["exitCode"] == 128
    assert "exec /bin/nope: no such file" in ended["message"]
    assert any("exec /bin/nope: no such file" in e["message"] for e in node.events("nope"))


@pytest.mark.parametrize(
    ("policy", "states"),
    [("IfNotPresent", ("ErrImagePull", "ImagePullBackOff")), ("Never", ("ErrImageNeverPull",))],
)
def test_an_image_that_is_not_there(node: Daemon, policy: str, states: tuple[str, ...]) -> None:
    name = f"noimage-{policy.lower()}"
    node.apply(pod(name, {"name": "main", "image": "no/such:thing", "imagePullPolicy": policy}))
    wait_until(
        lambda: (
            main_status_or({}, node.pod(name)).get("state", {}).get("waiting", {}).get("reason") in states
        )
    )
    found = node.pod(name)
    assert found["status"]["phase"] == "Pending"
    assert "no/such:thing" in main_status(found)["state"]["waiting"]["message"]
    node.cli("delete", "pod", name)


def test_an_active_deadline_ends_the_pod(node: Daemon) -> None:
    node.apply(pod("deadline", activeDeadlineSeconds=1, terminationGracePeriodSeconds=1))
    found = node.wait_phase("deadline", "Failed")
    assert found["status"]["reason"] == "DeadlineExceeded"


def test_deletion_asks_first(node: Daemon) -> None:
    log_script = "trap 'echo got TERM; exit 0' TERM; echo up; while :; do sleep 1000 & wait $!; done"
    node.apply(pod("asked", container(log_script)))
    node.wait_pod("asked")
    wait_until(lambda: node.out("logs", "asked") == "up\n")
    node.cli("delete", "pod", "asked")
    assert node.cli("get", "pod", "asked", check=False).returncode == 1
    assert "Killing" in reasons(node, "asked")


def test_deletion_kills_what_does_not_listen(node: Daemon) -> None:
    node.apply(
        pod("deaf", container("trap '' TERM; while :; do sleep 1000; done"), terminationGracePeriodSeconds=1)
    )
    node.wait_pod("deaf")
    node.cli("delete", "pod", "deaf", timeout=10)
    assert node.cli("get", "pod", "deaf", check=False).returncode == 1


def test_grace_period_zero_with_force_is_at_once(node: Daemon) -> None:
    node.apply(pod("forced", container("trap '' TERM; while :; do sleep 1000; done")))
    node.wait_pod("forced")
    node.cli("delete", "pod", "forced", "--grace-period=0", "--force", timeout=10)
    assert node.cli("get", "pod", "forced", check=False).returncode == 1


def test_when_the_infra_process_dies_the_sandbox_is_made_anew(node: Daemon) -> None:
    node.apply(pod("reborn"))
    before = node.wait_pod("reborn")
    anatomy = json.loads(node.out("anatomy", "reborn", "-o", "json"))
    os.kill(anatomy["infra"]["pid"], signal.SIGKILL)
    after = wait_until(
        lambda: (
            (p := node.pod("reborn"))
            and main_status_or({}, p).get("restartCount") == 1
            and conditions(p).get("Ready") == "True"
            and p
        )
    )
    assert main_status(after)["containerID"] != main_status(before)["containerID"]
    assert "SandboxChanged" in reasons(node, "reborn")


def test_what_a_container_started_in_the_background_dies_with_the_pod(node: Daemon, tmp_path: Path) -> None:
    volumes = [{"name": "out", "hostPath": {"path": str(tmp_path)}}]
    script = "setsid sh -c 'while :; do date > /out/alive; sleep 0.05; done' & " + FOREVER
    node.apply(
        pod(
            "orphans",
            container(script, volumeMounts=[{"name": "out", "mountPath": "/out"}]),
            volumes=volumes,
        )
    )
    node.wait_pod("orphans")
    alive = tmp_path / "alive"
    wait_until(alive.exists)
    node.cli("delete", "pod", "orphans")
    alive.unlink(missing_ok=True)
    with pytest.raises(AssertionError):
        wait_until(alive.exists, timeout=0.5)


def test_updating_the_image_restarts_the_container(node: Daemon) -> None:
    manifest = pod("renewed")
    node.apply(manifest)
    before = main_status(node.wait_pod("renewed"))
    node.cli("image", "build-rootfs", str(_base()), "minipod/other")
    manifest["spec"]["containers"][0]["image"] = "minipod/other"
    assert "configured" in node.apply(manifest).stdout
    wait_until(
        lambda: (
            (s := main_status_or({}, node.pod("renewed")))
            .get("image", "")
            .startswith(("minipod/other", "docker.io/minipod/other"))
            and s.get("ready")
            and s["containerID"] != before["containerID"]
        )
    )


def test_other_changes_of_a_pod_are_refused(node: Daemon) -> None:
    manifest = pod("fixed")
    node.apply(manifest)
    manifest["spec"]["containers"][0]["command"] = ["sleep", "1"]
    done = node.cli("apply", "-f", "-", stdin=json.dumps(manifest), check=False)
    assert done.returncode == 1
    assert "pod updates may not change fields other than" in done.stderr


def _base() -> Path:
    from tests.helpers.daemon import base_tar

    return base_tar()
