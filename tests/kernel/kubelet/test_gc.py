"""Garbage collection on a real node: images on a small disk of their own, and ended attempts of real containers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minipod.api.scheme import EVENTS
from minipod.kubelet.eviction.types import eviction_settings
from minipod.kubelet.gc.types import DeadContainerPolicy, GcSettings, ImagePolicy
from tests.kernel.kubelet.node import Node, container, main_status
from tests.unit.images.archives import member, simple_oci_archive, tar

MB = 1 << 20
MakeNode = Callable[..., Awaitable[Node]]
NO_GC = GcSettings(images=ImagePolicy(high_percent=100, min_age=0))


@pytest.fixture
def small_disk(workdir: Path) -> Iterator[Path]:
    """100 MB of ext4 that hold the node's data."""
    data = workdir / "data"
    data.mkdir(parents=True)
    disk = workdir / "disk.img"
    with disk.open("wb") as file:
        file.truncate(100 * MB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, data], check=True)
    yield data
    subprocess.run(["umount", "-l", data], check=True)


@pytest.fixture
async def node_on_small_disk(small_disk: Path, make_node: MakeNode) -> MakeNode:
    """`make_node`, that leaves before its disk does."""
    return make_node


def names(node: Node) -> set[str]:
    return {name.rsplit("/", 1)[-1] for image in node.images.list() for name in image.names}


def layers_on_disk(node: Node) -> int:
    return len(list((node.workdir / "data" / "images" / "layers").iterdir()))


async def bring(node: Node, name: str, megabytes: int = 10) -> None:
    """Import an image of that size; its blob takes as much again."""
    archive = node.workdir / f"{name}.tar"
    archive.write_bytes(simple_oci_archive(name, layers=[tar(member("big", os.urandom(megabytes * MB)))]))
    await node.images.import_archive(archive, name=name)
    archive.unlink()


async def node_events(node: Node, reason: str) -> list[str]:
    listed = await node.client.list(EVENTS, "default")
    return [e.message or "" for e in listed.items if e.involvedObject.kind == "Node" and e.reason == reason]


async def test_a_full_disk_loses_the_images_that_nobody_uses(node_on_small_disk: MakeNode) -> None:
    policy = ImagePolicy(high_percent=60, low_percent=50, min_age=0)
    node = await node_on_small_disk(gc=GcSettings(images=policy))
    await node.create("app")
    await node.ready("app")
    for name in ("one", "two"):
        await bring(node, name)
    await node.until(lambda: layers_on_disk(node) == 3, "images to be kept below the threshold")
    await bring(node, "three")
    await node.until(lambda: "one:latest" not in names(node), "the oldest image to go")
    await node.until(lambda: layers_on_disk(node) < 4, "its layer to go")
    assert "base:latest" in names(node)
    await node.exec("app", "true")


async def test_what_cannot_be_freed_is_told_once(node_on_small_disk: MakeNode) -> None:
    policy = ImagePolicy(high_percent=20, low_percent=1, min_age=3600)
    node = await node_on_small_disk(gc=GcSettings(images=policy))
    await bring(node, "young", 15)

    async def told() -> bool:
        return bool(await node_events(node, "FreeDiskSpaceFailed"))

    await node.until(told, "the event")
    (message,) = await node_events(node, "FreeDiskSpaceFailed")
    assert message.startswith("Failed to garbage collect required amount of images. Attempted to free ")
    assert "young:latest" in names(node)


async def test_images_that_have_been_unused_for_long_go(make_node: MakeNode) -> None:
    policy = ImagePolicy(min_age=0, max_age=2)
    node = await make_node(gc=GcSettings(images=policy))
    await node.create("app")
    await node.ready("app")
    await bring(node, "forgotten", 1)
    await node.until(lambda: names(node) == {"base:latest"}, "the unused image to go")
    await node.delete("app", grace=0)
    await node.until(lambda: not names(node), "the other one to go once its pod has")


async def test_what_is_pruned_on_request(make_node: MakeNode) -> None:
    node = await make_node(gc=NO_GC)
    await node.create("app")
    await node.ready("app")
    await bring(node, "one", 1)
    archive = node.workdir / "nameless.tar"
    archive.write_bytes(simple_oci_archive("", layers=[tar(member("a", b"nameless"))]))
    (nameless,) = await node.images.import_archive(archive)
    assert nameless.names == ()
    pruned = await node.proxy("POST", "images/prune")
    assert [image["id"] for image in pruned["deleted"]] == [nameless.id]
    pruned = await node.proxy("POST", "images/prune", all="true")
    assert [image["names"] for image in pruned["deleted"]] == [["docker.io/library/one:latest"]]
    assert names(node) == {"base:latest"}


async def test_an_image_removed_while_it_was_used_goes_with_its_last_pod(make_node: MakeNode) -> None:
    node = await make_node(gc=NO_GC)
    await node.create("app")
    await node.ready("app")
    await node.proxy("DELETE", "images", name="minipod/base", force="true")
    assert layers_on_disk(node) == 1
    await node.delete("app", grace=0)
    await node.until(lambda: not layers_on_disk(node), "the layer to go")


async def test_room_is_made_before_a_pod_is_evicted(node_on_small_disk: MakeNode) -> None:
    eviction = eviction_settings(
        hard={"nodefs.available": "40%"},
        soft={},
        soft_grace={},
        minimum_reclaim={},
        max_pod_grace=0,
        transition_period=1,
    )
    node = await node_on_small_disk(gc=NO_GC, eviction=eviction)
    await node.create("app")
    await node.ready("app")
    await bring(node, "one", 15)
    assert "one:latest" in names(node)
    await bring(node, "two", 15)
    await node.until(lambda: names(node) == {"base:latest"}, "unused images to go")
    assert await node_events(node, "EvictionThresholdMet")
    pod = await node.get("app")
    assert pod.status.phase == "Running"


def attempts(node: Node, uid: str) -> tuple[list[int], list[str], list[str]]:
    """What there is of a pod's container: attempts on record, writable layers, logs."""
    sandbox = node.runtime.status(uid)
    assert sandbox is not None
    layers = (node.workdir / "data/pods" / uid / "containers/main").iterdir()
    logs = next((node.workdir / "log").glob(f"*_{uid}")) / "main"
    return (
        sorted(c.attempt for c in sandbox.containers),
        sorted(path.name for path in layers),
        sorted(path.name for path in logs.iterdir()),
    )


COUNTING = "n=$(cat /v/n 2>/dev/null || echo 0); echo $((n+1)) > /v/n; echo run $n; [ $n = 3 ] && sleep 1000"


async def run_four_times(node: Node) -> str:
    mounts = [{"name": "v", "mountPath": "/v"}]
    await node.create(
        "app", container(COUNTING, volumeMounts=mounts), volumes=[{"name": "v", "emptyDir": {}}]
    )
    pod = await node.wait("app", lambda p: main_status(p).restartCount == 3 and main_status(p).state.running)
    return pod.metadata.uid or ""


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (DeadContainerPolicy(), [2, 3]),
        (DeadContainerPolicy(per_container=0), [3]),
        (DeadContainerPolicy(per_container=2), [1, 2, 3]),
        (DeadContainerPolicy(per_container=-1), [0, 1, 2, 3]),
        (DeadContainerPolicy(per_container=-1, total=1), [2, 3]),
        (DeadContainerPolicy(per_container=0, min_age=3600), [0, 1, 2, 3]),
    ],
)
async def test_ended_attempts_are_kept_as_the_settings_say(
    make_node: MakeNode, policy: DeadContainerPolicy, kept: list[int]
) -> None:
    node = await make_node(gc=GcSettings(dead_containers=policy))
    uid = await run_four_times(node)
    wanted: Any = (kept, [str(n) for n in kept], [f"{n}.log" for n in kept])
    await node.until(lambda: attempts(node, uid) == wanted, lambda: f"{wanted}: {attempts(node, uid)}")

    async def has_spoken() -> bool:
        return await node.logs("app") == "run 3\n"

    await node.until(has_spoken, "the attempt that runs to say so")
    if 2 in kept:
        assert await node.logs("app", previous=True) == "run 2\n"
    assert main_status(await node.get("app")).lastState.terminated.exitCode == 1
