"""A node that runs short: real signals of this machine, thresholds just below what it has now."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minipod.api import core_v1
from minipod.api.scheme import EVENTS, NODES
from minipod.kubelet.eviction.signals import Places, read_signals
from minipod.kubelet.eviction.types import EvictionSettings, Signal, eviction_settings
from minipod.linux.psi import Trigger
from tests.kernel.kubelet.node import Node, container, is_ready, main_status

pytestmark = pytest.mark.alone

MI = 1 << 20
MANY = "for i in $(seq 900); do sleep 1000 & done; wait"
HOG = "(head -c 5000m /dev/zero; sleep 1000) | tail"
"""tail keeps a line without an end in memory."""

MakeNode = Callable[..., Awaitable[Node]]


def hard(signal: Signal, amount: int, **more: Any) -> EvictionSettings:
    return eviction_settings(
        hard={signal.value: str(amount)},
        soft={},
        soft_grace={},
        minimum_reclaim={},
        max_pod_grace=0,
        transition_period=1.0,
        **more,
    )


def available(signal: Signal, path: Path) -> int:
    return read_signals(Places(nodefs=path, imagefs=path))[signal].available


async def condition(node: Node, type_: str) -> str:
    found: core_v1.Node = await node.client.get(NODES, node.word)
    return next(c.status for c in found.status.conditions if c.type == type_)


async def pressure_is(node: Node, type_: str, status: str) -> None:
    async def look() -> bool:
        return await condition(node, type_) == status

    await node.until(look, f"{type_} to be {status}")


async def test_whoever_takes_all_process_ids_goes_and_the_others_stay(
    make_node: MakeNode, workdir: Path
) -> None:
    left = available(Signal.PID_AVAILABLE, workdir)
    node = await make_node(eviction=hard(Signal.PID_AVAILABLE, left - 450))
    await node.create("quiet")
    await node.create("vital", container(MANY.replace("900", "20")), priority=1000)
    await node.ready("quiet")
    await node.create("many", container(MANY))
    pod = await node.wait("many", lambda p: p.status.phase == "Failed", "to be evicted")
    assert pod.status.reason == "Evicted"
    assert (pod.status.message or "").startswith("The node was low on resource: pids. Threshold quantity: ")
    disruption = next(c for c in pod.status.conditions if c.type == "DisruptionTarget")
    assert (disruption.status, disruption.reason) == ("True", "TerminationByKubelet")
    assert (await node.event("many", "Evicted")).type == "Warning"
    assert await condition(node, "PIDPressure") == "True"
    await pressure_is(node, "PIDPressure", "False")
    for name in ("quiet", "vital"):
        assert is_ready(await node.get(name))
    told = [e.reason for e in (await node.client.list(EVENTS, "default")).items]
    for reason in ("EvictionThresholdMet", "NodeHasInsufficientPID", "NodeHasSufficientPID"):
        assert reason in told


async def test_whoever_uses_more_memory_than_it_asked_for_goes(make_node: MakeNode, workdir: Path) -> None:
    left = available(Signal.MEMORY_AVAILABLE, workdir)
    if left < 8000 * MI:
        pytest.skip(f"needs 8000Mi of free memory, this machine has {left // MI}Mi")
    # What others on this machine take and give back meanwhile must neither cross the threshold nor hide the hog.
    node = await make_node(eviction=hard(Signal.MEMORY_AVAILABLE, left - 1500 * MI))
    asked: dict[str, Any] = {"resources": {"requests": {"memory": "64Mi"}}}
    await node.create("within", container(**asked), priority=-5)
    await node.create("hog", container(HOG, **asked), priority=1000)
    pod = await node.wait("hog", lambda p: p.status.phase == "Failed", "to be evicted")
    assert pod.status.reason == "Evicted"
    assert "request is 64Mi, has larger consumption of memory. " in (pod.status.message or "")
    await pressure_is(node, "MemoryPressure", "False")
    assert is_ready(await node.get("within"))


@pytest.fixture
def small_disk(workdir: Path) -> Iterator[Path]:
    """The node's data directory, on a file system of its own."""
    data = workdir / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", data], check=True)
    yield data
    subprocess.run(["umount", data], check=True)


async def test_whoever_fills_the_disk_goes(small_disk: Path, make_node: MakeNode) -> None:
    node = await make_node(eviction=hard(Signal.NODEFS_AVAILABLE, 30 * MI))
    await node.create("quiet")
    await node.ready("quiet")
    await node.create("filler", container("head -c 200m /dev/zero > /big; sleep 1000"), priority=-1)
    pod = await node.wait("filler", lambda p: p.status.phase == "Failed", "to be evicted")
    assert pod.status.reason == "Evicted"
    assert (pod.status.message or "").startswith(
        "The node was low on resource: ephemeral-storage. Threshold quantity: 30Mi, available: "
    )
    await pressure_is(node, "DiskPressure", "False")
    assert available(Signal.NODEFS_AVAILABLE, small_disk) > 30 * MI
    assert is_ready(await node.get("quiet"))


async def test_a_soft_threshold_leaves_the_pod_time_to_end(small_disk: Path, make_node: MakeNode) -> None:
    soft = eviction_settings(
        hard={},
        soft={"nodefs.available": "30Mi"},
        soft_grace={"nodefs.available": 0.5},
        minimum_reclaim={},
        max_pod_grace=20,
        transition_period=1.0,
    )
    node = await make_node(eviction=soft)
    script = "trap 'echo goodbye; exit 0' TERM; head -c 72m /dev/zero > /big; while :; do sleep 0.1; done"
    await node.create("filler", container(script), terminationGracePeriodSeconds=300)
    pod = await node.wait("filler", lambda p: p.status.phase == "Failed", "to be evicted")
    assert pod.status.reason == "Evicted"
    assert main_status(pod).state.terminated.exitCode == 0
    assert await node.logs("filler") == "goodbye\n"


async def test_a_node_under_pressure_lets_nobody_in_that_asks_for_nothing(
    make_node: MakeNode, workdir: Path
) -> None:
    left = available(Signal.MEMORY_AVAILABLE, workdir)
    node = await make_node(eviction=hard(Signal.MEMORY_AVAILABLE, left * 2))
    await node.create("careless")
    pod = await node.phase("careless", "Failed")
    assert pod.status.reason == "Evicted"
    assert pod.status.message == "Pod was rejected: The node had condition: [MemoryPressure]. "
    await pressure_is(node, "MemoryPressure", "True")
    await node.create("vital", priorityClassName="system-node-critical")
    await node.ready("vital")


async def test_a_pod_bound_past_the_scheduler_that_does_not_fit_is_refused(make_node: MakeNode) -> None:
    node = await make_node(system_reserved={"memory": "100Mi"}, max_pods=2)
    await node.create("huge", container(resources={"requests": {"memory": "1000Gi"}}))
    pod = await node.phase("huge", "Failed")
    assert pod.status.reason == "OutOfmemory"
    assert (
        "Pod was rejected: Node didn't have enough resource: memory, requested: 1073741824000, used: 0"
        in (pod.status.message or "")
    )
    await node.event("huge", "OutOfmemory")
    for name in ("one", "two"):
        await node.create(name)
        await node.ready(name)
    await node.create("three")
    assert (await node.phase("three", "Failed")).status.reason == "OutOfpods"
    await node.delete("one", grace=1)
    await node.gone("one")
    await node.create("four")
    await node.ready("four")


async def test_what_a_pod_holds_is_known_after_a_restart(make_node: MakeNode) -> None:
    node = await make_node(max_pods=1)
    await node.create("one")
    await node.ready("one")
    await node.restart()
    await node.create("two")
    assert (await node.phase("two", "Failed")).status.reason == "OutOfpods"
    assert is_ready(await node.get("one"))


async def test_the_kernel_is_asked_to_tell_of_memory_stalls() -> None:
    trigger = Trigger("memory", stall_us=100_000)
    try:
        assert not trigger.take()
        asyncio.get_running_loop().add_reader(trigger.fileno(), lambda: None)
        asyncio.get_running_loop().remove_reader(trigger.fileno())
    finally:
        trigger.close()


def test_a_pressure_that_is_not_measured_cannot_be_waited_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="memory"):
        Trigger("memory", stall_us=100_000, root=tmp_path)
