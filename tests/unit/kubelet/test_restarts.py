"""Which containers of a pod may be restarted in place."""

from __future__ import annotations

import pytest

from minipod.api import core_v1
from minipod.api.errors import StatusError
from minipod.kubelet.server.restarts import choose_restarts
from tests.unit.api.pods import container, pod


def web(**fields: str) -> core_v1.Pod:
    made = pod(
        container("app"),
        container("other"),
        initContainers=[container("init"), container("side", restartPolicy="Always")],
        ephemeralContainers=[container("look")],
    )
    made.status.phase = fields.pop("phase", "Running")
    made.metadata.deletionTimestamp = fields.pop("deletionTimestamp", None)
    return made


def test_all_that_run_beside_one_another() -> None:
    assert choose_restarts(web(), "") == ["side", "app", "other"]


@pytest.mark.parametrize("name", ["app", "side"])
def test_one_of_them(name: str) -> None:
    assert choose_restarts(web(phase="Pending"), name) == [name]


@pytest.mark.parametrize(
    ("made", "name", "said"),
    [
        (web(), "init", "is an init container, which runs once; it has side, app, other"),
        (web(), "look", "is ephemeral and is never restarted"),
        (web(), "nobody", "container nobody is not valid for pod p; it has side, app, other"),
        (web(phase="Failed"), "", "has ended (phase Failed)"),
        (web(deletionTimestamp="2026-01-02T03:04:05Z"), "app", "is being deleted"),
    ],
)
def test_what_is_not_restarted(made: core_v1.Pod, name: str, said: str) -> None:
    with pytest.raises(StatusError, match=r".*") as refused:
        choose_restarts(made, name)
    assert refused.value.code == 400
    assert said in refused.value.message
