"""minipod as a service of the machine's own systemd: installed as a user does it, asked as a user does it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minipod.client.http import ApiClient
from tests.helpers.daemon import base_tar
from tests.helpers.wait import SLOWNESS, wait_until

MINIPOD = str(Path(sys.executable).with_name("minipod"))
SOCKET = "/run/minipod/minipod.sock"
PODS_GROUP = Path("/sys/fs/cgroup/minipod.slice/minipod-pods.service")
PODS = "/api/v1/namespaces/default/pods"
PATIENCE = 120.0
"""Seconds; a daemon takes half a minute to start where the machine is emulated and others work beside it."""

OBEDIENT = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
"""A command that ends when it is asked to, as the first process of a container must be told to."""


def run(*argv: str, check: bool = True, timeout: float = PATIENCE) -> str:
    """What a command printed; a failing one fails the test with all it said."""
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout * SLOWNESS,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}\n{journal()}"
        )
    return done.stdout + (done.stderr if not check else "")


def journal(*matches: str) -> str:
    """What the units have logged in this boot."""
    argv = ["journalctl", "-b", "--no-pager", "-n", "80", *(matches or ("-u", "minipod*"))]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def show(unit: str, name: str) -> str:
    """One property of a unit."""
    return run("systemctl", "show", "--value", "-p", name, unit).strip()


def main_pid() -> int:
    return int(show("minipod.service", "MainPID"))


def is_active(unit: str) -> bool:
    return run("systemctl", "is-active", unit, check=False).strip() == "active"


def install(directory: Path, **flags: str) -> str:
    """Data and logs go below `directory`, which is on the disk; the image minipod/base is imported."""
    given = {"data-dir": str(directory / "data"), "log-dir": str(directory / "log"), **flags}
    argv = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", value)]
    told = run(MINIPOD, "install", *argv)
    run(MINIPOD, "image", "build-rootfs", str(base_tar()), "minipod/base")
    return told


def api(method: str, path: str, body: Any = None) -> Any:
    with ApiClient(SOCKET) as client:
        return client.request(method, path, body=body)


def pod(name: str) -> Any:
    return api("GET", f"{PODS}/{name}")


def restarts(name: str) -> int:
    return sum(status["restartCount"] for status in pod(name)["status"]["containerStatuses"])


def make_pod(name: str, **spec: Any) -> None:
    """A pod of one container that ends when asked to; `spec` is more of its spec, `container` of its container."""
    container = {
        "name": "app",
        "image": "minipod/base",
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", OBEDIENT],
        **spec.pop("container", {}),
    }
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 20, **spec},
    }
    api("POST", PODS, body)


def wait_ready(*names: str) -> None:
    for name in names:
        wait_until(
            lambda name=name: is_ready(pod(name)),
            PATIENCE,
            lambda name=name: f"{name}: {json.dumps(pod(name)['status'], indent=1)}\n{journal()}",
        )


def is_ready(found: Mapping[str, Any]) -> bool:
    conditions = found["status"].get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def processes() -> dict[int, str]:
    """Every process of every pod, with its command line."""
    found = {}
    for file in PODS_GROUP.glob("pods/**/cgroup.procs"):
        for pid in map(int, file.read_text().split()):
            found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return found
