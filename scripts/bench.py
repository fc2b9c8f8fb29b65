#!/usr/bin/env python3
"""Measures minipod on this machine, side by side with the bare system calls in C and with podman and runc.

    sudo .venv/bin/python scripts/bench.py [--json FILE] [--pods N] [--idle SECONDS] [--only NAME ...]

Starts a daemon of its own (own directories, cgroup, bridge, network namespace), measures, purges it, prints a table
and writes JSON. A benchmark, not a test: it judges nothing, it shows targets beside figures.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402

from minipod.client.http import ApiClient  # noqa: E402
from scripts import bench_lifecycle as lifecycle  # noqa: E402
from tests.helpers.daemon import Daemon, base_tar, running  # noqa: E402
from tests.helpers.isolation import unique_directory, unique_word  # noqa: E402
from tests.helpers.manifests import FOREVER, container, pod  # noqa: E402

PODS = "/api/v1/namespaces/default/pods"

TARGETS = {
    "birth": ("create (API call) -> container's own code runs", "<= 25 ms"),
    "burst": ("50 pods at once, all Ready", "<= 2 s"),
    "death": ("delete -> gone, container exits on SIGTERM", "<= 50 ms"),
    "daemon_rss": ("daemon's resident memory, no pod", "<= 70 MB"),
    "pod_private": ("shim + infra, private memory per pod", "<= 3 MB"),
    "idle_cpu": ("daemon with 20 quiet pods: share of a core", "< 0.2 %"),
    "idle_writes": ("daemon with 20 quiet pods: bytes written", "0"),
    **lifecycle.TARGETS,
    "get_pods": ("`minipod get pods`, whole process", "<= 150 ms"),
    "floor": ("bare system calls in C, no network", "-"),
    "runc": ("runc run, ready bundle, no network", "-"),
    "podman": ("podman kube play, one pod, network", "-"),
}


class Api:
    """The daemon's API by plain HTTP over its socket, one connection a thread."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def request(self, method: str, path: str, body: Any = None) -> Any:
        with ApiClient(str(self._socket)) as client:
            return client.request(method, path, body=body)

    def first_output(self, name: str) -> None:
        """Wait until a pod is ready and has printed something."""
        wait_ready(self, name)
        with (
            ApiClient(str(self._socket)) as client,
            client.stream("GET", f"{PODS}/{name}/log", query={"follow": True}) as output,
        ):
            next(iter(output))

    def watch(self, **query: str) -> Iterator[dict[str, Any]]:
        with ApiClient(str(self._socket)) as client:
            yield from client.watch(PODS, query)


def summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": statistics.median(ordered),
        "min": ordered[0],
        "p90": ordered[int(len(ordered) * 0.9)] if len(ordered) > 1 else ordered[0],
        "max": ordered[-1],
        "runs": len(ordered),
    }


# -- minipod -----------------------------------------------------------------------------------------------------


def births(daemon: Daemon, count: int) -> dict[str, float]:
    """Milliseconds until the container itself writes into a FIFO that is waited on here."""
    api = Api(daemon.socket)
    shared = daemon.workdir / "fifo"
    shared.mkdir(exist_ok=True)
    fifo = shared / "born"
    os.mkfifo(fifo)
    times = []
    for index in range(count + 1):
        name = f"birth-{index}"
        manifest = pod(
            name,
            {
                "name": "main",
                "image": "minipod/base",
                "command": ["sh", "-c", "echo x > /bench/born; exec sleep 100000"],
                "volumeMounts": [{"name": "bench", "mountPath": "/bench"}],
            },
            volumes=[{"name": "bench", "hostPath": {"path": str(shared)}}],
            terminationGracePeriodSeconds=0,
        )
        began = time.perf_counter()
        api.request("POST", PODS, manifest)
        with fifo.open("rb") as reader:
            assert reader.read(1) == b"x"
        if index:  # the first one warms caches
            times.append((time.perf_counter() - began) * 1e3)
        delete_and_wait(api, name)
    return summary(times)


def burst(daemon: Daemon, count: int) -> dict[str, float]:
    """Seconds from the first create until the last pod is Ready."""
    api = Api(daemon.socket)
    ready: set[str] = set()
    version = api.request("GET", PODS)["metadata"]["resourceVersion"]
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = [pool.submit(api.request, "POST", PODS, pod(f"burst-{i}")) for i in range(count)]
        for event in api.watch(resourceVersion=version):
            if _ready(event["object"]):
                ready.add(event["object"]["metadata"]["name"])
                if len(ready) == count:
                    break
        took = time.perf_counter() - began
        for future in made:
            future.result()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: delete_and_wait(api, f"burst-{i}"), range(count)))
    return summary([took])


def deaths(daemon: Daemon, count: int) -> dict[str, float]:
    """Milliseconds from the delete call to the DELETED event."""
    api = Api(daemon.socket)
    times = []
    for index in range(count):
        name = f"death-{index}"
        api.request("POST", PODS, pod(name, container("trap 'exit 0' TERM; echo listening; " + FOREVER)))
        api.first_output(name)  # not before its trap is set: PID 1 would not notice the signal
        times.append(delete_and_wait(api, name) * 1e3)
    return summary(times)


def delete_and_wait(api: Api, name: str) -> float:
    """Delete a pod and return the seconds until it was gone."""
    found = api.request("GET", f"{PODS}/{name}")
    version = found["metadata"]["resourceVersion"]
    began = time.perf_counter()
    api.request("DELETE", f"{PODS}/{name}")
    for event in api.watch(fieldSelector=f"metadata.name={name}", resourceVersion=version):
        if event["type"] == "DELETED":
            break
    return time.perf_counter() - began


def wait_ready(api: Api, name: str) -> None:
    for event in api.watch(fieldSelector=f"metadata.name={name}"):
        if _ready(event["object"]):
            return


def _ready(found: dict[str, Any]) -> bool:
    conditions = found.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def private_memory(pids: list[int]) -> float:
    """Private megabytes of processes (smaps_rollup: Private_Clean + Private_Dirty)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_"):
                total += int(line.split()[1])
    return total / 1024


def idle(daemon: Daemon, count: int, seconds: float) -> dict[str, Any]:
    """Memory per pod, and what the daemon does while nothing happens."""
    api = Api(daemon.socket)
    for index in range(count):
        api.request("POST", PODS, pod(f"idle-{index}"))
    for index in range(count):
        wait_ready(api, f"idle-{index}")
    per_pod = []
    for index in range(count):
        tree = json.loads(daemon.out("anatomy", f"idle-{index}", "-o", "json"))
        per_pod.append(private_memory([tree["shim"]["pid"], tree["infra"]["pid"]]))
    time.sleep(2)  # let what the last calls caused come to rest
    process = psutil.Process(daemon.pid)
    before_cpu, before_io = process.cpu_times(), process.io_counters()
    time.sleep(seconds)
    after_cpu, after_io = process.cpu_times(), process.io_counters()
    used = after_cpu.user + after_cpu.system - before_cpu.user - before_cpu.system
    for index in range(count):
        api.request("DELETE", f"{PODS}/idle-{index}")
    return {
        "pod_private": summary(per_pod),
        "idle_cpu": summary([100 * used / seconds]),
        "idle_writes": summary([float(after_io.write_bytes - before_io.write_bytes)]),
    }


def get_pods(daemon: Daemon, count: int = 11) -> dict[str, float]:
    command = [str(ROOT / ".venv/bin/minipod"), "--socket", str(daemon.socket), "get", "pods"]
    return summary(timed(lambda: subprocess.run(command, check=True, capture_output=True), count))


# -- the others --------------------------------------------------------------------------------------------------


def timed(action: Callable[[], object], count: int) -> list[float]:
    """Milliseconds of each of `count` runs, after one that is not counted."""
    action()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        action()
        times.append((time.perf_counter() - began) * 1e3)
    return times


def floor(rootfs: Path, count: int) -> dict[str, float] | None:
    if not shutil.which("cc"):
        return None
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/floor"
        subprocess.run(["cc", "-O2", "-o", program, str(ROOT / "scripts/floor.c")], check=True)
        said = subprocess.run(
            [program, str(rootfs), str(count)], check=True, capture_output=True, text=True
        ).stdout
    words = said.replace(",", "").split()
    return {
        "median": float(words[2]),
        "min": float(words[5]),
        "p90": float("nan"),
        "max": float(words[7]),
        "runs": count,
    }


def runc(rootfs: Path, count: int) -> dict[str, float] | None:
    """A container without network from a bundle that is already there; its state directory is thrown away."""
    if not shutil.which("runc"):
        return None
    with tempfile.TemporaryDirectory() as directory:
        bundle = Path(directory)
        subprocess.run(["runc", "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["/bin/true"])
        config["root"]["path"] = str(rootfs)
        (bundle / "config.json").write_text(json.dumps(config))
        command = ["runc", "--root", str(bundle / "state"), "run", "--bundle", str(bundle), "minipod-bench"]
        with contextlib.suppress(subprocess.CalledProcessError):
            return summary(timed(lambda: subprocess.run(command, check=True, capture_output=True), count))
    return None


def podman(count: int) -> dict[str, float] | None:
    """`podman kube play` of the same pod, with storage and configuration of its own."""
    if not shutil.which("podman"):
        return None
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024"]\npids_limit = 0\n'
            '[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\n'
        )
        environment = {**os.environ, "CONTAINERS_CONF": str(place / "containers.conf")}
        base = [
            "podman",
            "--root",
            str(place / "root"),
            "--runroot",
            str(place / "run"),
            "--storage-driver",
            "overlay",
        ]

        def call(*args: str) -> None:
            subprocess.run([*base, *args], check=True, capture_output=True, env=environment, timeout=60)

        manifest = place / "pod.yaml"
        manifest.write_text(
            json.dumps(
                pod(
                    "bench", {"name": "m", "image": "localhost/minipod-base", "command": ["sleep", "100000"]}
                )
            )
        )
        try:
            call("import", str(base_tar()), "localhost/minipod-base")
            times = []
            for _ in range(count):
                began = time.perf_counter()
                call("kube", "play", str(manifest))
                times.append((time.perf_counter() - began) * 1e3)
                call("pod", "rm", "-f", "-t", "0", "bench")
            return summary(times)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = getattr(error, "stderr", b"") or b""
            print(
                f"podman does not run here: {said.decode(errors='replace').strip()[-200:]}", file=sys.stderr
            )
            return None
        finally:
            with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
                call("pod", "rm", "-f", "-a", "-t", "0")
            subprocess.run(
                ["umount", "-l", str(place / "root" / "overlay")], check=False, capture_output=True
            )


# -- the whole ---------------------------------------------------------------------------------------------------


def measure(options: argparse.Namespace) -> dict[str, Any]:
    wanted = set(options.only or TARGETS)
    results: dict[str, Any] = {}
    with unique_word() as word, unique_directory() as workdir, tempfile.TemporaryDirectory() as unpacked:
        subprocess.run(["tar", "-xf", str(base_tar()), "-C", unpacked], check=True)
        for name in ("proc", "dev", "sys"):
            Path(unpacked, name).mkdir(exist_ok=True)
        if "floor" in wanted:
            results["floor"] = floor(Path(unpacked), options.pods)
        with running(workdir, word, cgroup_enforcement="best-effort") as daemon:
            if "daemon_rss" in wanted:
                results["daemon_rss"] = summary([psutil.Process(daemon.pid).memory_info().rss / 2**20])
            if "birth" in wanted:
                results["birth"] = births(daemon, options.pods)
            if "death" in wanted:
                results["death"] = deaths(daemon, options.pods)
            if "burst" in wanted:
                results["burst"] = burst(daemon, 50)
            if "get_pods" in wanted:
                results["get_pods"] = get_pods(daemon)
            if {"idle_cpu", "idle_writes", "pod_private"} & wanted:
                results.update(idle(daemon, 20, options.idle))
            api = Api(daemon.socket)
            if "exit" in wanted:
                results["exit"] = lifecycle.exits(daemon, api, options.pods, summary)
            if "readiness" in wanted:
                results["readiness"] = lifecycle.readiness(daemon, api, options.pods, summary)
            if "probes_cpu" in wanted:
                results["probes_cpu"] = lifecycle.probes_cpu(daemon, api, summary)
            if "readopt" in wanted:
                results["readopt"] = lifecycle.readopt(daemon, api, summary)
        if "runc" in wanted:
            results["runc"] = runc(Path(unpacked), options.pods)
        if "podman" in wanted:
            results["podman"] = podman(5)
    return {name: figures for name, figures in results.items() if figures}


def show(results: dict[str, Any]) -> None:
    print(f"{'what':52} {'median':>10} {'min':>10} {'p90':>10} {'max':>10}   target")
    for name, (about, target) in TARGETS.items():
        if name in results:
            figures = results[name]
            row = " ".join(f"{figures[key]:10.2f}" for key in ("median", "min", "p90", "max"))
            print(f"{about:52} {row}   {target}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", type=Path, default=ROOT / "bench.json", help="where the figures go")
    parser.add_argument("--pods", type=int, default=30, help="pods one at a time")
    parser.add_argument("--idle", type=float, default=60, help="seconds of doing nothing")
    parser.add_argument("--only", nargs="*", choices=list(TARGETS))
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root: sudo .venv/bin/python scripts/bench.py")
    results = measure(options)
    show(results)
    host = {"kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()}
    options.json.write_text(json.dumps({"host": host, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
