"""Which container a request means, and which of its logs; in the words kubectl's users know."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import core_v1
from minipod.api.errors import StatusError
from minipod.kubelet.server.container_lookup import choose_container, logged_attempt
from minipod.kubelet.status.generate import PodView, Waiting, generate_status
from minipod.kubelet.status.records import histories
from minipod.runtime.types import SandboxStatus
from tests.unit.kubelet.pods import container, pod
from tests.unit.kubelet.records import ended, running, sandbox


def test_a_single_container_need_not_be_named() -> None:
    assert choose_container(pod(container("only")), "") == "only"
    assert choose_container(pod(container("a"), container("b")), "b") == "b"
    assert choose_container(pod(container("a"), initContainers=[container("i")]), "i") == "i"


@pytest.mark.parametrize(
    ("init", "name", "message"),
    [
        ("", "", "a container name must be specified for pod web, choose one of: [a b]"),
        (
            "i j",
            "",
            "a container name must be specified for pod web, choose one of: [a b] "
            "or one of the init containers: [i j]",
        ),
        ("", "zzz", "container zzz is not valid for pod web"),
    ],
)
def test_what_cannot_be_chosen(init: str, name: str, message: str) -> None:
    made = pod(container("a"), container("b"), initContainers=[container(n) for n in init.split()])
    with pytest.raises(StatusError) as caught:
        choose_container(made, name)
    assert (caught.value.code, str(caught.value)) == (400, message)


def attempt(found: SandboxStatus | None, *, previous: bool = False, **view: Any) -> int:
    made = pod(container("a"))
    known = histories(made, found)
    made = core_v1.Pod(
        metadata=made.metadata,
        spec=made.spec,
        status=generate_status(made, PodView(histories=known, **view), now="2026-01-01T00:00:00Z"),
    )
    return logged_attempt(made, known, "a", previous=previous).attempt


CRASH = {"waiting": {"a": Waiting("CrashLoopBackOff")}}


def test_logs_are_the_latest_attempts_and_previous_ones_the_one_before() -> None:
    assert attempt(sandbox(running("a", 3))) == 3
    assert attempt(sandbox(ended("a", 3))) == 3
    assert attempt(sandbox(ended("a", 2), running("a", 3)), previous=True) == 2
    assert attempt(sandbox(ended("a", 2), ended("a", 3)), previous=True) == 2


def test_while_a_container_waits_for_its_restart_its_last_attempt_is_both() -> None:
    found = sandbox(ended("a", 2), ended("a", 3))
    assert attempt(found, **CRASH) == 3
    assert attempt(found, previous=True, **CRASH) == 3


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (None, "ContainerCreating"),
        ("ErrImagePull", "image can't be pulled"),
        ("ImagePullBackOff", "trying and failing to pull image"),
        ("CreateContainerConfigError", "CreateContainerConfigError"),
    ],
)
def test_a_container_that_has_not_started_has_no_logs(reason: str | None, words: str) -> None:
    waiting = {"a": Waiting(reason)} if reason else {}
    with pytest.raises(StatusError) as caught:
        attempt(None, waiting=waiting)
    assert caught.value.code == 400
    assert str(caught.value) == f'container "a" in pod "web" is waiting to start: {words}'


def test_there_may_be_no_previous_attempt() -> None:
    for found in (None, sandbox(running("a", 0))):
        with pytest.raises(StatusError, match='previous terminated container "a" in pod "web" not found'):
            attempt(found, previous=True)
