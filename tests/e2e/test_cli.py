"""What the command line shows of a running node."""

from __future__ import annotations

import json

from tests.helpers.daemon import Daemon
from tests.helpers.manifests import container, pod


def test_describe_tells_the_whole_story(node: Daemon) -> None:
    node.apply(pod("told", labels={"app": "told"}))
    node.wait_pod("told")
    said = node.out("describe", "pod", "told")
    for part in (
        "Name:",
        "told",
        "Status:",
        "Running",
        "IP:",
        "Conditions:",
        "Events:",
        "Started",
        "QoS Class:",
        "BestEffort",
    ):
        assert part in said


def test_anatomy_shows_what_a_pod_is(node: Daemon) -> None:
    node.apply(pod("seen", container(name="a"), container(name="b")))
    found = node.wait_pod("seen")
    said = node.out("anatomy", "seen")
    for part in ("pause", "net", "ipc", "uts", "mnt", "cgroup", found["status"]["podIP"], "eth0", "a", "b"):
        assert part in said
    tree = json.loads(node.out("anatomy", "seen", "-o", "json"))
    assert tree["infra"]["pid"] > 1
    assert {c["name"] for c in tree["containers"]} == {"a", "b"}


def test_get_shapes(node: Daemon) -> None:
    node.apply(pod("shaped", labels={"app": "shaped"}))
    node.wait_pod("shaped")
    assert node.out("get", "pods", "-o", "name", "-l", "app=shaped") == "pod/shaped\n"
    listed = node.get("pods", "-l", "app=shaped")
    assert listed["kind"] == "List"
    assert [p["metadata"]["name"] for p in listed["items"]] == ["shaped"]
    wide = node.out("get", "pod", "shaped", "-o", "wide")
    assert wide.split("\n")[0].split() == [
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "IP",
        "NODE",
        "NOMINATED",
        "NODE",
        "READINESS",
        "GATES",
    ]
    assert node.out("get", "pod", "shaped", "-o", "jsonpath={.status.phase}") == "Running"
    assert node.node in node.out("get", "nodes")
    assert "NAMESPACE" in node.out("get", "pods", "-A")


def test_apply_says_what_it_did(node: Daemon) -> None:
    manifest = pod("applied")
    assert node.apply(manifest).stdout == "pod/applied created\n"
    assert node.apply(manifest).stdout == "pod/applied unchanged\n"
    manifest["metadata"]["labels"] = {"new": "label"}
    assert node.apply(manifest).stdout == "pod/applied configured\n"
    assert node.out("delete", "-f", "-", stdin=json.dumps(manifest)).startswith('pod "applied" deleted')


def test_events_and_doctor(node: Daemon) -> None:
    node.apply(pod("eventful"))
    node.wait_pod("eventful")
    assert "Started container main" in node.out("events", "--for", "pod/eventful")
    doctor = node.cli("doctor", "-o", "json", check=False)
    assert doctor.returncode == 0
    assert json.loads(doctor.stdout)
    assert "overlay" in node.out("doctor")


def test_errors_have_one_line_and_an_exit_code(node: Daemon) -> None:
    done = node.cli("get", "pod", "nobody", check=False)
    assert done.returncode == 1
    assert done.stderr == 'Error from server (NotFound): pods "nobody" not found\n'
    done = node.cli("get", "things", check=False)
    assert done.returncode == 1
    assert 'the server doesn\'t have a resource type "things"' in done.stderr


def test_without_a_daemon_the_message_says_what_to_do(node: Daemon) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "minipod", "--socket", str(node.workdir / "none.sock"), "get", "pods"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "none.sock" in done.stderr
    assert "minipod daemon" in done.stderr
