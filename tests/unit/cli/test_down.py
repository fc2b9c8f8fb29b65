"""`minipod down`: what it says before the wait, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minipod.api import errors
from minipod.api.scheme import NODES, PODS
from minipod.cli.down import announcement
from minipod.cli.main import run
from minipod.client.node import ProxyRequest, ProxyResponse
from tests.unit.apiserver.objects import node, pod
from tests.unit.apiserver.serving import ServerThread


def given(name: str, seconds: int, phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"terminationGracePeriodSeconds": seconds},
        "status": {"phase": phase},
    }


PODS_GIVEN = [given("a", 5), given("b", 60), given("job", 900, "Succeeded")]
LONGEST = "the longest grace period is 60s (pod/b in namespace shop)"


@pytest.mark.parametrize(
    ("pods", "limit", "said"),
    [
        ([], None, "no pods run"),
        (PODS_GIVEN[2:], None, "no pods run"),
        (PODS_GIVEN, None, f"stopping 2 pods; {LONGEST}"),
        (PODS_GIVEN, 90, f"stopping 2 pods; {LONGEST}"),
        (PODS_GIVEN, 0, "stopping 2 pods; each gets up to 0s"),
        (PODS_GIVEN[1:], 3, "stopping 1 pod; each gets up to 3s"),
    ],
)
def test_the_longest_wait_is_told(pods: list[dict[str, Any]], limit: int | None, said: str) -> None:
    assert announcement(pods, limit) == said


def test_it_is_told_before_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    heard = []

    async def proxy(_: ProxyRequest) -> ProxyResponse:
        heard.append(capfd.readouterr().err)
        raise errors.bad_request("enough")  # or this very process would be asked to end, as the daemon

    with ServerThread(tmp_path) as server:
        monkeypatch.setattr(server.node, "proxy", proxy)
        monkeypatch.setenv("MINIPOD_SOCKET", str(server.socket))
        server.call(server.local.create(NODES, node()))
        server.call(server.local.create(PODS, pod("web")))
        assert run(["down"]) == 1
    assert heard == ["stopping 1 pod; the longest grace period is 30s (pod/web in namespace default)\n"]
