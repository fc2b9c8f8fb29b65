"""An eviction outlives a kill -9 of the daemon in its middle; a daemon with quiet pods costs nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from minipod.kubelet.eviction.signals import Places, read_signals
from minipod.kubelet.eviction.types import Signal
from tests.helpers.daemon import Daemon
from tests.helpers.manifests import container, pod
from tests.helpers.wait import wait_until

STUBBORN = "trap '' TERM; for i in $(seq 900); do sleep 1000 & done; while :; do wait; done"
QUIET_PODS = 20
WATCHED = 20.0
"""Seconds of the daemon's life that are measured."""
MOST_CPU = 0.01
"""Of one processor, for all of the daemon with its quiet pods; the eviction manager's own share is far below."""


def test_an_eviction_outlives_a_kill_of_the_daemon(own_node: Callable[..., Daemon], workdir: Path) -> None:
    left = read_signals(Places(nodefs=workdir, imagefs=workdir))[Signal.PID_AVAILABLE].available
    daemon = own_node(
        cgroup_enforcement="best-effort",
        eviction_hard="",
        eviction_soft=f"pid.available<{left - 450}",
        eviction_soft_grace_period="pid.available=100ms",
        eviction_max_pod_grace_period="10",
    )
    daemon.apply(pod("many", container(STUBBORN), terminationGracePeriodSeconds=300))
    wait_until(
        lambda: any(e["reason"] == "Killing" for e in daemon.events("many")), 30, "the eviction to begin"
    )
    assert daemon.pod("many")["status"]["phase"] == "Running"
    daemon.restart()
    status = daemon.wait_phase("many", "Failed")["status"]
    assert status["reason"] == "Evicted"
    assert status["message"].startswith("The node was low on resource: pids. ")
    assert any(c["type"] == "DisruptionTarget" for c in status["conditions"])
    assert status["containerStatuses"][0]["restartCount"] == 0


def test_quiet_pods_cost_nothing_although_the_node_is_watched(own_node: Callable[..., Daemon]) -> None:
    daemon = own_node(cgroup_enforcement="best-effort")
    daemon.apply(*(pod(f"quiet-{number}") for number in range(QUIET_PODS)))
    for number in range(QUIET_PODS):
        daemon.wait_pod(f"quiet-{number}")
    before, began = cpu_seconds(daemon.pid), time.monotonic()
    time.sleep(WATCHED)
    share = (cpu_seconds(daemon.pid) - before) / (time.monotonic() - began)
    print(f"{QUIET_PODS} quiet pods: {share:.4%} of a processor")
    assert share < MOST_CPU


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5): stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
