"""The daemon dies, comes back, finds everything; and what it reads from a directory."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import leaks
from tests.helpers.daemon import Daemon
from tests.helpers.manifests import FOREVER, container, pod
from tests.helpers.wait import wait_until

OwnNode = Callable[..., Daemon]


def main(found: dict[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = found["status"]["containerStatuses"][0]
    return status


def test_a_killed_daemon_finds_its_pods_again(own_node: OwnNode) -> None:
    node = own_node()
    node.apply(pod("stays"))
    before = node.wait_pod("stays")
    processes = json.loads(node.out("anatomy", "stays", "-o", "json"))["infra"]["pid"]
    node.restart()
    after = node.wait_pod("stays")
    assert main(after) == main(before)
    assert after["status"]["podIP"] == before["status"]["podIP"]
    assert json.loads(node.out("anatomy", "stays", "-o", "json"))["infra"]["pid"] == processes
    assert node.out("exec", "stays", "--", "echo", "works") == "works\n"


def test_what_ended_while_the_daemon_was_away_has_its_true_code(own_node: OwnNode, tmp_path: Path) -> None:
    node = own_node()
    go = tmp_path / "go"
    script = "until [ -e /h/go ]; do sleep 0.05; done; exit 42"
    volumes = [{"name": "h", "hostPath": {"path": str(tmp_path)}}]
    node.apply(
        pod(
            "leaves",
            container(script, volumeMounts=[{"name": "h", "mountPath": "/h"}]),
            restartPolicy="Never",
            volumes=volumes,
        )
    )
    node.wait_pod("leaves")
    pid = json.loads(node.out("anatomy", "leaves", "-o", "json"))["containers"][0]["pid"]
    node.kill()
    go.touch()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    node.start()
    ended = main(node.wait_phase("leaves", "Failed"))["state"]["terminated"]
    assert ended["exitCode"] == 42
    assert ended["finishedAt"] >= ended["startedAt"]


def test_the_daemon_may_open_more_files_than_its_pods(own_node: OwnNode) -> None:
    """Many slow probes must not use up what it has, and pods must not notice that it has more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (900, hard))
    try:
        node = own_node()
        assert resource.prlimit(node.pid, resource.RLIMIT_NOFILE) == (hard, hard)
        node.apply(pod("limited"))
        node.wait_pod("limited")
        assert node.out("exec", "limited", "--", "sh", "-c", "ulimit -n") == "900\n"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_sigterm_leaves_pods_running_and_down_stops_them(own_node: OwnNode) -> None:
    node = own_node()
    node.apply(pod("server"))
    node.wait_pod("server")
    infra = json.loads(node.out("anatomy", "server", "-o", "json"))["infra"]["pid"]
    node.kill(signal.SIGTERM)
    assert Path(f"/proc/{infra}").exists()
    node.start()
    node.wait_pod("server")
    node.cli("down")
    assert node.process is not None
    assert node.process.wait(timeout=30) == 0
    node.process = None
    assert not Path(f"/proc/{infra}").exists()


def test_after_a_reboot_pods_start_again(own_node: OwnNode) -> None:
    node = own_node()
    node.apply(pod("back"), pod("done", container("exit 0"), restartPolicy="Never"))
    before = node.wait_pod("back")
    node.wait_phase("done", "Succeeded")
    node.kill()
    for directory in _cgroups(node.word):
        (directory / "cgroup.kill").write_text("1")
    wait_until(lambda: not [p for p in leaks.processes(str(node.workdir)) if "unshare" not in p])
    shutil.rmtree(node.workdir / "run")
    node.start()
    after = wait_until(
        lambda: (p := node.pod("back")) and main(p)["restartCount"] == 1 and main(p)["ready"] and p
    )
    assert main(after)["containerID"] != main(before)["containerID"]
    assert node.pod("done")["status"]["phase"] == "Succeeded"


def test_deletions_under_way_are_finished(own_node: OwnNode) -> None:
    node = own_node()
    node.apply(
        pod(
            "going", container("trap '' TERM; while :; do sleep 1000; done"), terminationGracePeriodSeconds=2
        )
    )
    node.wait_pod("going")
    node.cli("delete", "pod", "going", "--wait=false")
    assert node.pod("going")["metadata"]["deletionTimestamp"]
    node.restart()
    wait_until(lambda: node.cli("get", "pod", "going", check=False).returncode == 1, timeout=20)


@pytest.mark.parametrize("moment", range(6))
def test_killed_at_any_moment_of_a_birth_it_ends_well(own_node: OwnNode, moment: int) -> None:
    node = own_node()
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod(f"p{i}") for i in range(6)]})
    node.cli("apply", "-f", "-", stdin=text)
    wait_until(lambda: len(leaks.processes(node.word)) > 1 + moment, timeout=5)
    node.restart()
    for i in range(6):
        found = node.wait_pod(f"p{i}")
        assert found["status"]["phase"] == "Running"
    pods = json.loads(node.out("get", "pods", "-o", "json"))["items"]
    assert len({p["status"]["podIP"] for p in pods}) == 6
    sandboxes = os.listdir(node.workdir / "run" / "pods")
    assert sorted(sandboxes) == sorted(p["metadata"]["uid"] for p in pods)


def test_manifests_are_watched(own_node: OwnNode) -> None:
    node = own_node()
    manifests = node.workdir / "manifests"
    manifests.mkdir(exist_ok=True)
    file = manifests / "one.yaml"
    file.write_text(json.dumps(pod("dropped", labels={"v": "1"})))
    wait_until(lambda: node.cli("get", "pod", "dropped", check=False).returncode == 0)
    first = node.wait_pod("dropped")
    changed = pod("dropped", container("echo new; " + FOREVER), labels={"v": "2"})
    file.write_text(json.dumps(changed))
    wait_until(lambda: (p := _maybe(node, "dropped")) and p["metadata"]["labels"]["v"] == "2" and p)
    second = node.wait_pod("dropped")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    (manifests / "broken.yaml").write_text("kind: [\n")
    wait_until(lambda: "broken.yaml" in node.log)
    file.unlink()
    wait_until(lambda: _maybe(node, "dropped") is None)


def test_manifests_that_vanished_while_the_daemon_was_away_are_removed(own_node: OwnNode) -> None:
    node = own_node()
    file = node.workdir / "manifests" / "one.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(pod("dropped")))
    wait_until(lambda: _maybe(node, "dropped"))
    node.kill()
    file.unlink()
    node.start()
    wait_until(lambda: _maybe(node, "dropped") is None)


def test_purge_leaves_nothing(own_node: OwnNode) -> None:
    node = own_node()
    node.apply(pod("a"), pod("b"))
    node.wait_pod("a")
    node.kill()
    node.purge()
    assert leaks.all_leaks(node.word) == []
    assert not (node.workdir / "data").exists()
    assert not (node.workdir / "run").exists()
    assert node.word not in node.enter("ls", "/sys/class/net").stdout


def test_a_second_daemon_on_the_same_socket_is_refused(own_node: OwnNode) -> None:
    node = own_node()
    import sys

    argv = [part for name, value in node.flags.items() for part in (f"--{name}", value)]
    done = node.enter(sys.executable, "-m", "minipod", "daemon", *argv, check=False)
    assert done.returncode == 1
    assert "already" in done.stderr
    assert node.cli("get", "pods").returncode == 0


def _maybe(node: Daemon, name: str) -> dict[str, Any] | None:
    done = node.cli("get", "pod", name, "-o", "json", check=False)
    found: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return found


def _cgroups(word: str) -> list[Path]:
    return [
        path
        for root in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
        if (root / "cgroup.procs").exists() and (path := root / word).exists()
    ]
