"""What is in the store after cancellations, kills, restarts and damage."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from minipod.images.errors import (
    ImageStoreError,
)
from minipod.images.store import ImageStore
from tests.unit.images.archives import (
    MadeImage,
    docker_archive,
    simple_oci_archive,
)
from tests.unit.images.stored import BASE, TOP, restarted, snapshot, stream
from tests.unit.images.trees import tree


async def hanging(data: bytes, arrived: asyncio.Event) -> AsyncIterator[bytes]:
    yield data
    arrived.set()
    await asyncio.Event().wait()


async def test_a_cancelled_import_leaves_nothing(store: ImageStore, root: Path) -> None:
    before, arrived = snapshot(root), asyncio.Event()
    task = asyncio.create_task(
        store.import_archive(hanging(simple_oci_archive(layers=[BASE])[:3000], arrived))
    )
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert snapshot(root) == before
    assert await store.import_archive(stream(simple_oci_archive(layers=[BASE])))


async def test_a_cancelled_import_that_had_not_begun(store: ImageStore) -> None:
    arrived = asyncio.Event()
    first = asyncio.create_task(store.import_archive(hanging(b"", arrived)))
    await arrived.wait()
    second = asyncio.create_task(store.import_archive(stream(simple_oci_archive(layers=[BASE]))))
    await asyncio.sleep(0)
    second.cancel()
    first.cancel()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(r, asyncio.CancelledError) for r in results)
    assert store.list() == []


async def test_stopping_breaks_off_the_work_in_hand(store: ImageStore, root: Path) -> None:
    arrived = asyncio.Event()
    task = asyncio.create_task(store.import_archive(hanging(b"", arrived)))
    await arrived.wait()
    await store.stop()
    with pytest.raises(ImageStoreError, match="shutting down"):
        await task
    assert not list((root / "tmp").iterdir())


async def test_what_a_kill_left_behind_is_thrown_away(root: Path) -> None:
    (root / "tmp/half/layers/x/fs").mkdir(parents=True)
    (root / "tmp/half/layers/x/fs/file").touch()
    store = await restarted(root)
    assert not list((root / "tmp").iterdir())
    assert store.list() == []


async def test_published_but_not_named_is_collected(store: ImageStore, root: Path) -> None:
    await store.import_archive(stream(simple_oci_archive("kept", layers=[BASE])))
    empty = (root / "index.json").read_bytes()
    await store.import_archive(stream(simple_oci_archive("lost", layers=[BASE, TOP])))
    (root / "index.json").write_bytes(empty)  # as if killed just before the last step
    again = ImageStore(root)
    await again.start()
    assert [image.names for image in again.list()] == [("docker.io/library/kept:latest",)]
    await again.collect()
    await again.stop()
    assert len(list((root / "layers").iterdir())) == 1
    assert len(list((root / "blobs/sha256").iterdir())) == 3


async def test_a_restart_finds_the_same_images(store: ImageStore, root: Path) -> None:
    await store.import_archive(stream(docker_archive(MadeImage([BASE, TOP]), "a", "b")))
    await store.import_archive(stream(docker_archive(MadeImage([TOP]))))
    await store.build_rootfs(stream(BASE), "minipod/base")
    again = await restarted(root)
    assert again.list() == store.list()
    assert again.resolve("minipod/base") == store.resolve("minipod/base")


@pytest.mark.parametrize("lost", ["all", "layer.json"])
async def test_a_lost_layer_is_unpacked_again(store: ImageStore, root: Path, lost: str) -> None:
    (image,) = await store.import_archive(stream(simple_oci_archive(layers=[BASE, TOP])))
    expected = tree(image.layers[0])
    if lost == "all":
        shutil.rmtree(image.layers[0].parent)
    else:
        (image.layers[0].parent / lost).unlink()
        (image.layers[0] / "half").touch()
    assert (await restarted(root)).list() == [image]
    assert tree(image.layers[0]) == expected


@pytest.mark.parametrize("damage", [lambda data: b"{}", lambda data: data.replace(b'"sh"', b'"xx"')])
async def test_a_damaged_image_is_left_out_and_the_others_stay(
    store: ImageStore, root: Path, damage: Any
) -> None:
    await store.import_archive(stream(docker_archive(MadeImage([BASE]), "good")))
    (bad,) = await store.import_archive(stream(docker_archive(MadeImage([TOP]), "bad")))
    blob = root / "blobs/sha256" / bad.id.removeprefix("sha256:")
    blob.write_bytes(damage(blob.read_bytes()))
    again = await restarted(root)
    assert [image.names for image in again.list()] == [("docker.io/library/good:latest",)]


async def test_a_damaged_index_is_an_error_that_says_what_to_do(root: Path) -> None:
    await restarted(root)
    (root / "index.json").write_bytes(b"{")
    store = ImageStore(root)
    with pytest.raises(
        ImageStoreError, match=r"cannot open the image store: .*index.json: .* \(move it away"
    ):
        await store.start()
    await store.stop()


async def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = ImageStore(tmp_path / "file")
    with pytest.raises(ImageStoreError, match="cannot open the image store: File exists"):
        await store.start()
    await store.stop()
