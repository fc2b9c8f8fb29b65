"""Nodes on hosts that withhold something: what is said of it, and that pods run all the same where they may."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from minipod.kubelet.settings import CgroupEnforcement
from minipod.linux import capabilities, rlimit
from minipod.linux.cgroup2 import cgroup
from minipod.runtime import credentials
from tests.kernel.kubelet.node import Node, container

MakeNode = Callable[..., Awaitable[Node]]


@pytest.fixture
def occupied(word: str) -> Iterator[str]:
    """A cgroup parent below a group that has a process of its own, as in a Docker container."""
    root = cgroup.mount_point()
    cgroup.enable_controllers(root, cgroup.controllers(root))
    group = cgroup.create(root, word)
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        cgroup.add_process(group, sleeper.pid)
        yield f"{word}/pods"
        sleeper.kill()


async def test_pods_run_below_a_group_that_cannot_hand_controllers_down(
    make_node: MakeNode, occupied: str
) -> None:
    node = await make_node(cgroup_parent=occupied)
    assert node.settings().host.controllers == frozenset()
    await node.create("simple")
    await node.ready("simple")
    assert Path(cgroup.mount_point(), occupied, "besteffort").is_dir()
    await node.delete("simple", grace=0)
    await node.gone("simple")


GUARANTEED = {"cpu": "100m", "memory": "64Mi"}
SPARED = {"resources": {"requests": GUARANTEED, "limits": GUARANTEED}}


def may_lower_scores() -> bool:
    return "CAP_SYS_RESOURCE" in capabilities.to_names(capabilities.permitted())


async def test_a_score_that_may_not_be_lowered_is_a_warning(node: Node) -> None:
    if may_lower_scores():
        pytest.skip("this host lets oom_score_adj be lowered")
    await node.create("spared", container(**SPARED))
    await node.ready("spared")
    said = (await node.event("spared", "NotAsAsked")).message or ""
    assert said.startswith("oom_score_adj could not be set to -997")
    assert "CAP_SYS_RESOURCE" in said
    code, own = await node.exec("spared", "cat", "/proc/1/oom_score_adj")
    assert (code, own) == (0, Path("/proc/self/oom_score_adj").read_text())


async def test_strict_refuses_the_pod_that_cannot_be_spared_and_no_other(make_node: MakeNode) -> None:
    if may_lower_scores():
        pytest.skip("this host lets oom_score_adj be lowered")
    node = await make_node(enforcement=CgroupEnforcement.STRICT)
    await node.create("spared", container(), priorityClassName="system-node-critical")
    pod = await node.phase("spared", "Failed")
    assert pod.status.reason == "OOMScoreNotPermitted"
    said = await node.event("spared", "OOMScoreNotPermitted")
    assert "--cgroup-enforcement=best-effort" in (said.message or "")
    await node.create("plain")
    await node.ready("plain")
    assert [e.reason for e in await node.events("plain") if e.reason == "NotAsAsked"] == []


def test_a_limit_that_may_not_be_raised_is_a_warning() -> None:
    """What the OCI process object asks for; a Pod has no field for it, so nothing is there for strict to refuse."""
    if may_lower_scores():
        pytest.skip("this host lets limits be raised")
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    wanted = rlimit.limit("RLIMIT_NPROC", hard + 1, hard + 1)
    said: list[str] = []
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NPROC, resource.getrlimit(resource.RLIMIT_NPROC))
        credentials.set_limits([wanted], said.append)
    assert said == [
        f"RLIMIT_NPROC is {hard}:{hard} instead of {hard + 1}:{hard + 1} (CAP_SYS_RESOURCE is missing)"
    ]
