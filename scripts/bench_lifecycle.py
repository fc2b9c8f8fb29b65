"""The parts of bench.py about what happens while pods run: exits, probes, and a daemon that comes back."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import psutil

from tests.helpers.daemon import Daemon
from tests.helpers.manifests import container, pod

PODS = "/api/v1/namespaces/default/pods"
QUICK = {"minipod.io/probe-period-ms": "10"}

TARGETS = {
    "exit": ("process dies -> its exit is in the pod's status", "<= 20 ms"),
    "readiness": ("server listens -> Ready, sub-second HTTP probe", "<= 30 ms"),
    "probes_cpu": ("200 containers with 1 s HTTP probes: share of a core", "<= 10 %"),
    "readopt": ("daemon starts with 50 pods -> API answers, all adopted", "<= 1.5 s"),
}

Summary = Callable[[list[float]], dict[str, float]]


class Api(Protocol):
    def request(self, method: str, path: str, body: Any = None) -> Any: ...

    def watch(self, **query: str) -> Iterator[dict[str, Any]]: ...


def exits(daemon: Daemon, api: Api, count: int, summary: Summary) -> dict[str, float]:
    """Milliseconds from SIGKILL of a container's process to the watch event that shows it terminated."""
    times = []
    for index in range(count):
        name = f"exit-{index}"
        api.request("POST", PODS, pod(name, container("exec sleep 100000"), restartPolicy="Never"))
        _until(api, name, _is_ready)
        pid = json.loads(daemon.out("anatomy", name, "-o", "json"))["containers"][0]["pid"]
        version = api.request("GET", f"{PODS}/{name}")["metadata"]["resourceVersion"]
        events = api.watch(fieldSelector=f"metadata.name={name}", resourceVersion=version)
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        for event in events:
            statuses = event["object"]["status"].get("containerStatuses") or [{}]
            if "terminated" in statuses[0].get("state", {}):
                break
        times.append((time.perf_counter() - began) * 1e3)
        api.request("DELETE", f"{PODS}/{name}?gracePeriodSeconds=0")
    return summary(times)


def readiness(daemon: Daemon, api: Api, count: int, summary: Summary) -> dict[str, float]:
    """Milliseconds from just before a server's execve (it listens a moment later) to the pod's Ready."""
    shared = daemon.workdir / "ready"
    shared.mkdir(exist_ok=True)
    fifo = shared / "listens"
    os.mkfifo(fifo)
    times = []
    for index in range(count):
        name = f"ready-{index}"
        made = pod(
            name,
            container(
                "mkdir -p /w; echo ok > /w/index.html; usleep 150000; echo x > /bench/listens; "
                "exec httpd -f -p 8080 -h /w",
                readinessProbe={"httpGet": {"port": 8080, "path": "/index.html"}, "failureThreshold": 100},
                volumeMounts=[{"name": "bench", "mountPath": "/bench"}],
            ),
            volumes=[{"name": "bench", "hostPath": {"path": str(shared)}}],
            terminationGracePeriodSeconds=0,
        )
        made["metadata"]["annotations"] = QUICK
        api.request("POST", PODS, made)
        events = api.watch(fieldSelector=f"metadata.name={name}")
        with fifo.open("rb") as reader:
            assert reader.read(1) == b"x"
        began = time.perf_counter()
        for event in events:
            if _is_ready(event["object"]):
                break
        times.append((time.perf_counter() - began) * 1e3)
        api.request("DELETE", f"{PODS}/{name}?gracePeriodSeconds=0")
    return summary(times)


def probes_cpu(daemon: Daemon, api: Api, summary: Summary, *, seconds: float = 20) -> dict[str, float]:
    """The daemon's share of a core (percent) with 20 pods of 10 servers each, all probed every second."""
    for index in range(20):
        api.request("POST", PODS, pod(f"probed-{index}", *(_server(8000 + n) for n in range(10))))
    for index in range(20):
        _until(api, f"probed-{index}", _is_ready)
    time.sleep(2)  # let what the starts caused come to rest
    process = psutil.Process(daemon.pid)
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    for index in range(20):
        api.request("DELETE", f"{PODS}/probed-{index}?gracePeriodSeconds=0")
    return summary([100 * (after.user + after.system - before.user - before.system) / seconds])


def readopt(
    daemon: Daemon, api: Api, summary: Summary, *, pods: int = 50, runs: int = 5
) -> dict[str, float]:
    """Seconds from the start of a daemon's process until /readyz answers, with pods of the last one running."""
    for index in range(pods):
        api.request("POST", PODS, pod(f"stay-{index}"))
    for index in range(pods):
        _until(api, f"stay-{index}", _is_ready)
    times = []
    for _ in range(runs):
        daemon.kill()
        began = time.perf_counter()
        daemon.spawn()
        while not _answers(api):
            time.sleep(0.005)
        times.append(time.perf_counter() - began)
        listed = api.request("GET", PODS)["items"]
        assert sum(map(_is_ready, listed)) == pods, "every pod is still there"
        assert all(s["restartCount"] == 0 for p in listed for s in p["status"]["containerStatuses"])
    for index in range(pods):
        api.request("DELETE", f"{PODS}/stay-{index}?gracePeriodSeconds=0")
    return summary(times)


def _answers(api: Api) -> bool:
    try:
        api.request("GET", "/readyz?verbose")
    except Exception:
        return False
    return True


def _server(port: int) -> dict[str, Any]:
    return container(
        f"mkdir -p /w; echo ok > /w/index.html; exec httpd -f -p {port} -h /w",
        f"server-{port}",
        readinessProbe={"httpGet": {"port": port, "path": "/index.html"}, "periodSeconds": 1},
    )


def _until(api: Api, name: str, condition: Callable[[dict[str, Any]], bool]) -> None:
    for event in api.watch(fieldSelector=f"metadata.name={name}"):
        if condition(event["object"]):
            return


def _is_ready(found: dict[str, Any]) -> bool:
    conditions = found.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
