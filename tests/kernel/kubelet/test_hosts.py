"""Nodes on hosts that withhold something: what is said of it, and that pods run all the same where they may."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from minipod.linux.cgroup2 import cgroup
from tests.kernel.kubelet.node import Node

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
