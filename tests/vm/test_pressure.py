"""A real daemon on a machine that runs short of memory and of process ids: who goes, who stays, what the Node says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minipod.kubelet.eviction.signals import Places, read_signals
from minipod.kubelet.eviction.types import Signal
from tests.helpers.daemon import Daemon, running
from tests.helpers.isolation import unique_word
from tests.helpers.manifests import container, pod
from tests.helpers.wait import SLOWNESS, wait_until

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

MI = 1 << 20
PATIENCE = 30.0
HOG = "(head -c 1800m /dev/zero; sleep 1000) | tail"
OVER = "(head -c 40m /dev/zero; sleep 1000) | tail"
MANY = "for i in $(seq 900); do sleep 1000 & done; wait"
MEMORY_MARGIN = 700 * MI
PIDS_MARGIN = 600


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    directory = Path("/var/lib/minipod/pressure")
    directory.mkdir()
    now = read_signals(Places(nodefs=directory, imagefs=directory))
    memory = now[Signal.MEMORY_AVAILABLE].available - MEMORY_MARGIN
    pids = now[Signal.PID_AVAILABLE].available - PIDS_MARGIN
    flags: dict[str, Any] = {
        "eviction_hard": f"memory.available<{memory // MI}Mi,pid.available<{pids}",
        "eviction_pressure_transition_period": "3s",
        "system_reserved": "cpu=500m",
    }
    with unique_word() as word, running(directory, word, **flags) as started:
        yield started
    shutil.rmtree(directory)


def asking(script: str, memory: str) -> dict[str, object]:
    return container(script, resources={"requests": {"memory": memory}})


def condition(daemon: Daemon, type_: str) -> str:
    status = daemon.get("node", daemon.node)["status"]
    return str(next(c["status"] for c in status["conditions"] if c["type"] == type_))


def ready(daemon: Daemon, name: str) -> bool:
    conditions = daemon.pod(name)["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def evicted(daemon: Daemon, name: str, pressure: str) -> str:
    """Wait for it, and for the pressure to come and go; what was said."""
    status = daemon.wait_phase(name, "Failed", PATIENCE * SLOWNESS)["status"]
    assert status["reason"] == "Evicted"
    assert any(
        c["type"] == "DisruptionTarget" and c["reason"] == "TerminationByKubelet"
        for c in status["conditions"]
    )
    # The condition may have gone by now, so slow is this machine: the Node's events tell that it was there.
    told = {e["reason"] for e in daemon.events(daemon.node)}
    assert {"EvictionThresholdMet", f"NodeHasInsufficient{pressure.removesuffix('Pressure')}"} <= told
    wait_until(lambda: condition(daemon, pressure) == "False", PATIENCE, f"{pressure} to go")
    assert "Evicted" in {e["reason"] for e in daemon.events(name)}
    return str(status["message"])


def test_of_three_pods_the_right_one_goes_when_memory_runs_short(daemon: Daemon) -> None:
    """Within its request although least important; above it but important; above it and less important."""
    daemon.apply(
        pod("within", asking("sleep 1000", "64Mi"), priority=-10),
        pod("important", asking(OVER, "1Mi"), priority=1000),
    )
    daemon.wait_pod("within", timeout=PATIENCE * SLOWNESS)
    daemon.wait_pod("important", timeout=PATIENCE * SLOWNESS)
    daemon.apply(pod("hog", asking(HOG, "1Mi")))
    message = evicted(daemon, "hog", "MemoryPressure")
    assert message.startswith("The node was low on resource: memory. Threshold quantity: ")
    assert "request is 1Mi, has larger consumption of memory. " in message
    assert ready(daemon, "within")
    assert ready(daemon, "important")
    daemon.cli("delete", "pod", "hog", "within", "important", "--grace-period=1")


def test_whoever_takes_all_process_ids_goes(daemon: Daemon) -> None:
    daemon.apply(pod("quiet"))
    daemon.wait_pod("quiet", timeout=PATIENCE * SLOWNESS)
    daemon.apply(pod("many", container(MANY)))
    message = evicted(daemon, "many", "PIDPressure")
    assert message.startswith("The node was low on resource: pids. ")
    assert ready(daemon, "quiet")
    daemon.cli("delete", "pod", "many", "quiet", "--grace-period=1")


def test_what_does_not_fit_is_refused_on_the_node_and_parked_by_the_scheduler(daemon: Daemon) -> None:
    node = daemon.get("node", daemon.node)["status"]
    cpus = int(node["capacity"]["cpu"])
    assert node["allocatable"]["cpu"] == f"{cpus * 1000 - 500}m"
    greedy = container(resources={"requests": {"cpu": str(cpus)}})
    daemon.apply(pod("bound", greedy, nodeName=daemon.node), pod("free", greedy))
    status = daemon.wait_phase("bound", "Failed", PATIENCE * SLOWNESS)["status"]
    assert status["reason"] == "OutOfcpu"
    assert status["message"] == (
        f"Pod was rejected: Node didn't have enough resource: cpu, requested: {cpus * 1000}, used: 0, "
        f"capacity: {cpus * 1000 - 500}"
    )

    def parked() -> bool:
        conditions = daemon.pod("free")["status"].get("conditions", [])
        return any(c.get("message") == "0/1 nodes are available: 1 Insufficient cpu." for c in conditions)

    wait_until(parked, PATIENCE, "the pod to be Unschedulable")
    daemon.cli("delete", "pod", "bound", "free", "--grace-period=1")
