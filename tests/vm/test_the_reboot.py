"""Pods across a shutdown of the machine: the last thing of its first life, and the first of the next one.

What lies in /etc is gone after the reboot of this machine, but not of a user's: the unit files are put back first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.service import install, is_active, journal, make_pod, pod, restarts, wait_ready

pytestmark = pytest.mark.timeout(600)

DIRECTORY = Path("/var/lib/minipod/reboot")
MARKS = DIRECTORY / "marks"
VOLUMES = [{"name": "marks", "hostPath": {"path": str(MARKS)}}]


def _container(name: str) -> dict[str, object]:
    """Writes down when it is started, and, in its hook, when it is stopped."""
    command = f"echo start {name} >> /marks/log; trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
    hook = f"sleep 1; echo stop {name} >> /marks/log; sync"
    return {
        "command": ["sh", "-c", command],
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", hook]}}},
        "volumeMounts": [{"name": "marks", "mountPath": "/marks"}],
    }


@pytest.mark.first
def test_pods_run_when_the_machine_is_shut_down() -> None:
    MARKS.mkdir(parents=True)
    install(
        DIRECTORY, node_name="vm", shutdown_grace_period="40s", shutdown_grace_period_critical_pods="15s"
    )
    # Made in this order, so that age alone would start them otherwise than priority does.
    make_pod("plain", container=_container("plain"), volumes=VOLUMES)
    make_pod(
        "critical",
        container=_container("critical"),
        volumes=VOLUMES,
        priorityClassName="system-node-critical",
    )
    wait_ready("plain", "critical")
    assert is_active("minipod.service")


@pytest.mark.reboot
def test_hooks_ran_and_pods_are_back_in_order() -> None:
    log = MARKS / "log"
    before = log.read_text().splitlines()
    assert before == ["start plain", "start critical", "stop plain", "stop critical"]
    install(
        DIRECTORY, node_name="vm", shutdown_grace_period="40s", shutdown_grace_period_critical_pods="15s"
    )
    wait_ready("plain", "critical")
    assert log.read_text().splitlines()[4:] == ["start critical", "start plain"], journal()
    assert restarts("plain") == restarts("critical") == 1
    assert pod("plain")["status"]["phase"] == "Running"
