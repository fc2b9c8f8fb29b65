"""`minipod why` against a running daemon."""

from __future__ import annotations

import json

from tests.helpers.daemon import Daemon
from tests.helpers.manifests import container, pod
from tests.helpers.wait import wait_until


def test_why_tells_the_cause_first_and_remembers_a_deleted_pod(node: Daemon) -> None:
    crash = container("echo panic: no such table; exit 3", name="app")
    node.apply(pod("asked", crash))

    def said() -> str:
        return node.out("why", "asked")

    def said_in_back_off() -> str:
        text = said()  # a moment later it may run again
        return text if "in CrashLoopBackOff" in text else ""

    first, _, *lines = wait_until(said_in_back_off, timeout=15).splitlines()
    assert first.startswith("asked is not Ready: container app is in CrashLoopBackOff (")
    assert '"panic: no such table" -- see: minipod logs asked -c app --previous' in first
    assert lines[0].split() == ["AGO", "AFTER", "TOOK", "STEP", "CONTAINER", "WHAT"]
    text = "\n".join(lines)
    for part in (
        "scheduled",
        "sandbox",
        "network",
        "start",
        "exit!",
        "exit code 3 (Error)",
        "| panic: no such",
    ):
        assert part in text
    page = json.loads(node.out("why", "pod/asked", "-o", "json"))
    assert page["terminations"]["app"][0]["detail"]["exitCode"] == 3

    node.out("delete", "pod", "asked", "--now")
    assert said().startswith("asked was deleted ")


def test_why_of_a_pod_nobody_remembers(node: Daemon) -> None:
    result = node.cli("why", "nobody", check=False)
    assert result.returncode == 1
    assert 'pods "nobody" not found' in result.stderr
