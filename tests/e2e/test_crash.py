"""A crash of any of minipod's own processes at any step of a pod's life: what was asked for comes about all the same.

Never is there a container twice, an init container or hook run again where Kubernetes would not, or anything left.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from minipod.api.errors import StatusError
from minipod.client.http import ApiClient, ApiUnreachableError
from minipod.linux.cgroup2 import cgroup
from tests.helpers.daemon import Daemon
from tests.helpers.isolation import unique_directory, unique_word
from tests.helpers.manifests import container
from tests.helpers.wait import wait_until

PODS = "/api/v1/namespaces/default/pods"
PATIENCE = 30.0

VICTIMS = ("daemon", "spawner", "shim", "infra")

# A step and which of its occurrences: a birth creates and starts three containers (proxy, init, app).
BIRTH = [
    ("sandbox", 0),
    ("volumes", 0),
    ("run-sandbox", 0),
    ("network", 0),
    *(("create", n) for n in range(3)),
    *(("start", n) for n in range(3)),
    ("post-start", 0),
    ("status", 0),
]
DEATH = [
    ("pre-stop", 0),
    ("signal", 0),
    ("signal", 1),
    ("finish", 0),
    ("remove-sandbox", 0),
    ("detach", 0),
    ("delete", 0),
]


_WITHOUT_SANDBOX = {
    ("volumes", "after"),
    ("finish", "after"),
    ("remove-sandbox", "after"),
    ("detach", "after"),
    ("delete", "after"),
}
"""Where there is no shim and no infra process, yet or any more."""


def cases(steps: list[tuple[str, int]]) -> list[Any]:
    """The daemon falls on either side of each step; for the others one side is the other of the step before."""
    return [
        pytest.param(step, skip, when, victim, id=f"{victim}-{when}-{step}-{skip + 1}")
        for step, skip in steps
        for victim in VICTIMS
        for when in (("before", "after") if victim == "daemon" else ("after",))
        if victim in ("daemon", "spawner") or (step, when) not in _WITHOUT_SANDBOX
    ]


@pytest.fixture(scope="module")
def fragile() -> Iterator[Daemon]:
    """A daemon that obeys the file `faults`."""
    with unique_word() as word, unique_directory() as workdir:
        daemon = Daemon(
            workdir,
            word,
            crash_loop_initial="100ms",
            crash_loop_maximum="500ms",
            cgroup_enforcement="best-effort",
        )
        daemon.faults = workdir / "faults"
        try:
            daemon.start()
            daemon.import_base()
            yield daemon
        finally:
            daemon.end()


class Pod:
    """One pod with a sidecar, an init container, hooks and a probe, which writes down what it does."""

    def __init__(self, node: Daemon, name: str) -> None:
        self.node = node
        self.name = name
        self.directory = node.workdir / name
        self.directory.mkdir()
        self.uid = ""

    def manifest(self) -> dict[str, Any]:
        mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}

        def runs(name: str) -> str:
            return f"trap 'exit 0' TERM; echo {name} >> /v/starts; while :; do sleep 1000 & wait $!; done"

        def hook(name: str) -> dict[str, Any]:
            return {"exec": {"command": ["sh", "-c", f"echo {name} >> /v/hooks"]}}

        ready = {"exec": {"command": ["test", "-e", "/v/starts"]}, "periodSeconds": 1}
        hooks = {"postStart": hook("post-start"), "preStop": hook("pre-stop")}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "annotations": {"minipod.io/probe-period-ms": "50"}},
            "spec": {
                "terminationGracePeriodSeconds": 5,
                "initContainers": [
                    container(runs("proxy"), "proxy", restartPolicy="Always", **mount),
                    container("echo init >> /v/starts", "init", **mount),
                ],
                "containers": [
                    container(runs("app"), "app", lifecycle=hooks, readinessProbe=ready, **mount)
                ],
                "volumes": [{"name": "v", "hostPath": {"path": str(self.directory)}}],
            },
        }

    def lines(self, name: str) -> list[str]:
        path = self.directory / name
        return path.read_text().split() if path.exists() else []

    def create(self) -> None:
        made = self.request("POST", PODS, self.manifest())
        assert made is not None, "the daemon fell before it answered"
        self.uid = made["metadata"]["uid"]

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """The API's answer; None while the daemon does not answer, {} for what is not there."""
        try:
            with ApiClient(str(self.node.socket)) as client:
                return client.request(method, path, body=body)
        except StatusError as error:
            return {} if error.code == 404 else None
        except (OSError, HTTPException, ApiUnreachableError):
            return None

    def read(self) -> Any:
        return self.request("GET", f"{PODS}/{self.name}")

    def delete(self) -> None:
        self.request("DELETE", f"{PODS}/{self.name}")

    def converge(self) -> None:
        """Bring the daemon back if it fell, and wait until the pod is as its spec says."""
        wait_until(self._settled, PATIENCE, lambda: f"{self.name} to settle\n{self.node.log[-3000:]}")

    def _settled(self) -> bool:
        _revive(self.node)
        found = self.read()
        conditions = found["status"].get("conditions", ()) if found else ()
        return self.fired and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    @property
    def fired(self) -> bool:
        """Whether the fault has happened; there may be none."""
        assert self.node.faults is not None
        return not self.node.faults.exists() or self.node.faults.read_text() == ""

    def arm(self, step: str, skip: int, when: str, victim: str) -> None:
        assert self.node.faults is not None
        fault = {"step": step, "skip": skip, "when": when, "victim": victim}
        self.node.faults.write_text(json.dumps(fault))

    def populated(self) -> list[str]:
        """The pod's cgroups that have processes in or below them."""
        groups = self.groups()
        (pod_group,) = (path for path in groups if path.name == f"pod{self.uid}")
        return [path.name for path in groups if path.parent == pod_group and _is_populated(path)]

    def groups(self) -> list[Path]:
        """All of the node's. By os.walk, for other ones come and go meanwhile."""
        root = cgroup.mount_point() / self.node.word
        return [Path(directory, name) for directory, names, _ in os.walk(root) for name in names]

    def gone(self) -> None:
        wait_until(self._gone, PATIENCE, lambda: f"{self.name} to go\n{self.node.log[-3000:]}")

    def _gone(self) -> bool:
        _revive(self.node)
        return self.read() == {}

    def leftovers(self) -> list[str]:
        # os.walk, for other things come and go meanwhile
        found = [
            os.path.join(directory, name)
            for directory, directories, files in os.walk(self.node.workdir)
            for name in (*directories, *files)
            if self.uid in name and not directory.endswith("/history")
        ]
        return found + [str(path) for path in self.groups() if self.uid in path.name]


def _is_populated(group: Path) -> bool:
    try:
        return cgroup.events(group)["populated"] == 1
    except OSError:
        return False  # it has gone meanwhile


def _revive(node: Daemon) -> None:
    assert node.process is not None
    if node.process.poll() is not None:
        node.process = None
        node.start()


@pytest.fixture
def pod(fragile: Daemon) -> Iterator[Pod]:
    assert fragile.faults is not None
    fragile.faults.unlink(missing_ok=True)
    made = Pod(fragile, f"pod-{time.monotonic_ns() % 10**9}")
    yield made
    fragile.faults.unlink(missing_ok=True)
    _revive(fragile)
    if made.read():
        made.request("DELETE", f"{PODS}/{made.name}?gracePeriodSeconds=0")
        made.gone()
    shutil.rmtree(made.directory)


@pytest.mark.parametrize(("step", "skip", "when", "victim"), cases(BIRTH))
def test_a_crash_at_birth(pod: Pod, step: str, skip: int, when: str, victim: str) -> None:
    pod.arm(step, skip, when, victim)
    with contextlib.suppress(AssertionError):
        pod.create()  # the daemon may fall in the middle of it
    pod.converge()
    pod.uid = pod.read()["metadata"]["uid"]
    assert len(pod.populated()) == 3, "the shim's group and one per running container"
    starts = pod.lines("starts")
    if victim in ("daemon", "spawner"):
        assert starts == ["proxy", "init", "app"]
        assert pod.lines("hooks") in (["post-start"], [] if step == "post-start" else ["post-start"])
    else:
        assert starts[-3:] == ["proxy", "init", "app"], starts
        assert starts.count("app") <= 2
    pod.delete()
    pod.gone()
    assert pod.leftovers() == []


@pytest.mark.parametrize(("step", "skip", "when", "victim"), cases(DEATH))
def test_a_crash_at_death(pod: Pod, step: str, skip: int, when: str, victim: str) -> None:
    pod.create()
    pod.converge()
    starts = pod.lines("starts")
    pod.arm(step, skip, when, victim)
    pod.delete()
    pod.gone()
    assert pod.fired, "the step was never reached"
    assert pod.lines("starts") == starts
    assert pod.lines("hooks").count("pre-stop") <= 2
    assert pod.leftovers() == []


def test_a_machine_without_faults_runs_the_same_pod(pod: Pod) -> None:
    """What the others compare with."""
    pod.create()
    pod.converge()
    assert pod.lines("starts") == ["proxy", "init", "app"]
    assert pod.lines("hooks") == ["post-start"]
    assert len(pod.populated()) == 3
    pod.delete()
    pod.gone()
    assert pod.lines("hooks") == ["post-start", "pre-stop"]
    assert pod.leftovers() == []
    assert os.path.exists(pod.directory)
