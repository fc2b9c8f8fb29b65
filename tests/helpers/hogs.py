"""Pods that take all they can get, and the measurement of what those beside them feel of it.

Every hog is bounded by itself, so that it also may run where no controller bounds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minipod.api.errors import StatusError
from minipod.client.http import ApiClient
from tests.helpers.daemon import Daemon
from tests.helpers.wait import SLOWNESS, wait_until

MEASURE = Path(__file__).with_name("measure_latency.py")
PYTHON = os.path.realpath(sys.executable)
IN_PYTHON = ["chroot", "/host", PYTHON, "-I", "-S", "-c"]
"""A hog in Python: the host's, through a volume that hogs of this kind mount read-only."""

AT_WORK = "at work"
"""What a hog prints when it has begun."""

FORKS = "for i in $(seq 8); do (while :; do (:) ; done) & done; echo at work; wait"
CROWD = "for i in $(seq 1500); do sleep 600 & done; echo at work; wait"
OPEN_FILES = """
import os, time
held = []
for _ in range(40):
    if os.fork() == 0:
        break
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    print("at work", flush=True)
    time.sleep(600)
"""
CONNECTIONS = """
import os, socket
server = socket.create_server(("", 8089), backlog=4096)
near, far = [], []
while True:
    near.append(socket.create_connection((os.environ["TARGET"], 8089), timeout=5))
    far.append(server.accept())
    if len(near) == 400:
        print("at work", flush=True)
        near.clear(), far.clear()
"""
"""Through the host and back to itself: thousands of entries in the host's connection table."""


@dataclass(frozen=True, slots=True)
class Hog:
    """`container`: fields of its one container; `spec`: of its pod. `restarts`: its end is part of its work."""

    container: dict[str, Any]
    spec: dict[str, Any] = field(default_factory=dict)
    restarts: bool = False


def shell(script: str, **fields: Any) -> dict[str, Any]:
    return {"command": ["sh", "-c", script], **fields}


def python(script: str, **fields: Any) -> dict[str, Any]:
    return {
        "command": [*IN_PYTHON, script],
        "volumeMounts": [{"name": "host", "mountPath": "/host", "readOnly": True}],
        **fields,
    }


HOST = {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}
NODE_ADDRESS = {"name": "TARGET", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}
PRIVILEGED = {"privileged": True}

HOGS = {
    "burns processors": Hog(shell("for i in $(seq 8); do (while :; do :; done) & done; echo at work; wait")),
    "forks": Hog(shell(FORKS)),
    "has thousands of processes": Hog(shell(CROWD)),
    "takes memory": Hog(shell("echo at work; while :; do head -c 200000000 /dev/zero | tail | wc -c; done")),
    "opens files": Hog(python(OPEN_FILES), HOST),
    "floods its log": Hog(
        shell("yes 'at work, telling what nobody wants to read, again and again and again'")
    ),
    "fills its disk": Hog(
        shell(
            "echo at work; while :; do dd if=/dev/zero of=/fill bs=1M count=200; sync; rm /fill; done 2> /dev/null"
        )
    ),
    "fills /dev/shm": Hog(
        shell("while :; do cat /dev/zero > /dev/shm/fill; echo at work; rm /dev/shm/fill; done 2> /dev/null")
    ),
    "leaves zombies": Hog(
        shell("echo at work; while :; do sh -c '(:) & (:) & (:) & exec true'; done"),
        {"shareProcessNamespace": True},
    ),
    "connects to a host port": Hog(
        python(CONNECTIONS, env=[NODE_ADDRESS], ports=[{"containerPort": 8089, "hostPort": 8089}]), HOST
    ),
    "makes cgroups": Hog(
        shell(
            "for i in $(seq 3000); do mkdir /sys/fs/cgroup/hog$i; done; echo at work; sleep 600",
            securityContext=PRIVILEGED,
        )
    ),
}


@dataclass(frozen=True, slots=True)
class Felt:
    """What was felt beside a hog, or without one. Seconds, bytes."""

    api: list[float]
    web: list[float]
    memory: int

    @property
    def usual(self) -> dict[str, float]:
        """The median of each."""
        return {"api": percentile(self.api, 0.5), "web": percentile(self.web, 0.5)}

    @property
    def worst(self) -> dict[str, float]:
        """The 99th percentile of each."""
        return {"api": p99(self.api), "web": p99(self.web)}

    def __str__(self) -> str:
        parts = [
            f"{name} p50 {percentile(v, 0.5) * 1e3:.1f} p99 {p99(v) * 1e3:.1f} ms ({len(v)})"
            for name, v in (("api", self.api), ("web", self.web))
        ]
        return f"{', '.join(parts)}, daemon {self.memory / (1 << 20):.0f} MiB"


def p99(values: list[float]) -> float:
    return percentile(values, 0.99)


def percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


NEIGHBOUR = {
    "name": "main",
    "image": "minipod/base",
    "command": ["sh", "-c", "mkdir /www && echo hello > /www/index.html && exec httpd -f -p 8080 -h /www"],
    "ports": [{"containerPort": 8080, "hostPort": 8088}],
    "resources": {"requests": {"cpu": "200m"}},
}


PODS = "/api/v1/namespaces/default/pods"


def add_neighbour(daemon: Daemon) -> None:
    """A web server whose probes allow for what a probe may take, not for a node that stands still."""
    probe = {"httpGet": {"port": 8080}, "periodSeconds": 1, "timeoutSeconds": max(1, round(SLOWNESS / 2))}
    container = {**NEIGHBOUR, "readinessProbe": probe, "livenessProbe": probe}
    api(daemon, "POST", PODS, _pod("neighbour", container))
    wait_until(lambda: ready(api(daemon, "GET", f"{PODS}/neighbour")), 30.0, "the neighbour to be ready")


def neighbour_is_well(daemon: Daemon) -> None:
    """It never failed a probe."""
    pod = api(daemon, "GET", f"{PODS}/neighbour")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert ready(pod)
    events = api(daemon, "GET", "/api/v1/namespaces/default/events")["items"]
    unhealthy = [
        e["message"]
        for e in events
        if e["reason"] == "Unhealthy" and e["involvedObject"]["name"] == "neighbour"
    ]
    assert [message for message in unhealthy if "connection refused" not in message] == []


@contextlib.contextmanager
def beside(daemon: Daemon, hog: Hog, **resources: Any) -> Iterator[None]:
    """With the hog at work. `resources`: of its container."""
    container = {"name": "main", "image": "minipod/base", **hog.container}
    if resources:
        container["resources"] = resources
    api(daemon, "POST", PODS, _pod("hog", container, **hog.spec))
    try:
        wait_until(
            lambda: AT_WORK in log(daemon),
            30.0,
            lambda: f"the hog to work: {log(daemon)} {api(daemon, 'GET', f'{PODS}/hog')['status']}",
        )
        yield
        if not hog.restarts:
            status = api(daemon, "GET", f"{PODS}/hog")["status"]
            assert status["containerStatuses"][0]["restartCount"] == 0
    finally:
        with contextlib.suppress(StatusError):
            api(daemon, "DELETE", f"{PODS}/hog", {"gracePeriodSeconds": 0})
        wait_until(lambda: not is_there(daemon), 30.0, "the hog to go")


def log(daemon: Daemon, lines: int = 3) -> str:
    """The hog's last words."""
    with ApiClient(str(daemon.socket)) as client:
        try:
            with client.stream("GET", f"{PODS}/hog/log", query={"tailLines": lines}) as stream:
                return b"".join(stream).decode(errors="replace")
        except StatusError as error:
            return str(error)


def is_there(daemon: Daemon) -> bool:
    try:
        api(daemon, "GET", f"{PODS}/hog")
    except StatusError as error:
        return error.code != 404
    return True


def ready(pod: Any) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def api(daemon: Daemon, method: str, path: str, body: Any = None) -> Any:
    with ApiClient(str(daemon.socket)) as client:
        return client.request(method, path, body=body)


def _pod(name: str, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec},
    }


@contextlib.contextmanager
def measuring(daemon: Daemon) -> Iterator[subprocess.Popen[str]]:
    """A program at work; close its stdin and it prints what it measured."""
    address = f"{api(daemon, 'GET', f'{PODS}/neighbour')['status']['podIP']}:8080"
    argv = [sys.executable, "-I", "-S", str(MEASURE), str(daemon.socket), address]
    with subprocess.Popen(
        daemon.inside(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def felt_by(program: subprocess.Popen[str], daemon: Daemon) -> Felt:
    """End the program; what it measured."""
    told, _ = program.communicate(timeout=60 * SLOWNESS)
    found = json.loads(told)
    return Felt(found["api"], found["web"], resident(daemon.pid))


def measure(daemon: Daemon, seconds: float) -> Felt:
    """What strangers feel during this time."""
    with measuring(daemon) as program:
        time.sleep(seconds)
        return felt_by(program, daemon)


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
