"""Descriptions, line by line as kubectl 1.32 prints them.

The expected texts are kubectl's own with few lines changed: the message of a waiting container is shown (kubectl
leaves it to the events), a message of several lines stays in its column, hooks and stop signals are shown, and a node
has no lease and no kube-proxy.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from minipod.cli.descriptions.node import describe_node
from minipod.cli.descriptions.other import describe_any, describe_namespace
from minipod.cli.descriptions.pod import describe_pod
from tests.unit.cli.samples import NOW, events_about, expected, objects


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(os.environ, "TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", ["rich", "bare", "ended"])
def test_a_pod(name: str) -> None:
    [pod] = objects(f"pod-{name}")
    assert describe_pod(pod, events_about(name), NOW) == expected(f"describe-pod-{name}.txt")


def test_a_node() -> None:
    [node] = objects("node")
    assert describe_node(node, objects("pod-rich"), events_about("node1"), NOW) == expected(
        "describe-node.txt"
    )


def test_a_namespace() -> None:
    [namespace] = objects("namespace")
    assert describe_namespace(namespace) == expected("describe-namespace.txt")


def test_a_pod_that_is_being_deleted_says_how_long_it_may_take() -> None:
    [pod] = objects("pod-rich")
    pod["metadata"] |= {"deletionTimestamp": "2026-11-24T23:23:43Z", "deletionGracePeriodSeconds": 30}
    text = describe_pod(pod, [], NOW)
    assert "Terminating (ends within 30s)" in text
    assert "Termination Grace Period:  30s" in text
    assert "Terminating (lasts 1m" not in text


def test_a_kind_without_a_description_of_its_own_shows_every_field() -> None:
    [event] = objects("events")[:1]
    text = describe_any(event, [], NOW)
    assert "Involved Object:" in text
    assert "Successfully assigned default/rich to node1" in text


def test_control_characters_of_a_container_do_not_reach_the_terminal() -> None:
    [pod] = objects("pod-ended")
    state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    state["message"] = "\x1b[2Jgone\x07"
    assert "\x1b" not in describe_pod(pod, [], NOW)
    assert "\x07" not in describe_pod(pod, [], NOW)
