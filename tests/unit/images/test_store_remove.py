"""Removing names and images, and what stays because somebody uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from minipod.images.errors import (
    ImageNotFoundError,
)
from minipod.images.store import ImageStore
from tests.unit.images.archives import (
    MadeImage,
    docker_archive,
    simple_oci_archive,
)
from tests.unit.images.stored import BASE, TOP, restarted, snapshot, stream


async def test_a_name_is_taken_away_and_the_image_goes_with_its_last(store: ImageStore, root: Path) -> None:
    empty = snapshot(root)
    await store.import_archive(stream(docker_archive(MadeImage([BASE]), "a", "b")))
    removed = await store.remove("a")
    assert removed.names == ("docker.io/library/a:latest", "docker.io/library/b:latest")
    assert [image.names for image in store.list()] == [("docker.io/library/b:latest",)]
    await store.remove("b:latest")
    assert store.list() == []
    assert snapshot(root) == empty


@pytest.mark.parametrize("by", ["id", "short", "digest", "name@digest"])
async def test_an_image_is_removed_with_all_its_names(store: ImageStore, by: str) -> None:
    await store.import_archive(stream(docker_archive(MadeImage([TOP]), "other")))
    (image,) = await store.import_archive(stream(docker_archive(MadeImage([BASE]), "a:1", "a:2")))
    text = {
        "id": image.id,
        "short": image.id.removeprefix("sha256:")[:12],
        "digest": image.digest,
        "name@digest": f"a@{image.digest}",
    }[by]
    await store.remove(text)
    assert [i.names for i in store.list()] == [("docker.io/library/other:latest",)]


async def test_shared_layers_stay(store: ImageStore) -> None:
    await store.import_archive(stream(simple_oci_archive("one", layers=[BASE])))
    await store.import_archive(stream(simple_oci_archive("two", layers=[BASE, TOP])))
    two = store.resolve("two")
    assert two is not None
    await store.remove("two")
    assert not two.layers[0].exists()
    assert two.layers[1].exists()


async def test_an_image_in_use_loses_its_name_and_goes_when_it_is_unused(
    store: ImageStore, root: Path
) -> None:
    empty = snapshot(root)
    (image,) = await store.import_archive(stream(simple_oci_archive(layers=[BASE, TOP])))
    await store.remove("made:1", in_use=[*image.layers])
    assert store.resolve("made:1") is None
    assert [(i.id, i.names) for i in store.list()] == [(image.id, ())]
    await store.remove(image.id, in_use=[*image.layers])
    assert (await restarted(root)).list() == store.list()
    assert all(layer.exists() for layer in image.layers)
    await store.build_rootfs(stream(TOP), "other")
    await store.remove("other", in_use=[*image.layers])
    assert all(layer.exists() for layer in image.layers)
    await store.remove(image.id)
    assert snapshot(root) == empty


async def test_layers_in_use_are_not_deleted_even_if_no_image_has_them(
    store: ImageStore, root: Path
) -> None:
    (image,) = await store.import_archive(stream(simple_oci_archive(layers=[BASE, TOP])))
    await store.remove("made:1", in_use=[image.layers[1]])
    assert [layer.exists() for layer in image.layers] == [False, True]
    await store.collect()
    assert not list((root / "layers").iterdir())


@pytest.mark.parametrize("name", ["nope", "sha256:" + "0" * 64, "NOT A NAME", "deadbeef", ""])
async def test_removing_what_is_not_there(store: ImageStore, name: str) -> None:
    with pytest.raises(ImageNotFoundError) as caught:
        await store.remove(name)
    assert str(caught.value) == f'image "{name}" not found'


async def test_subscribers_are_told_of_changes(store: ImageStore) -> None:
    calls: list[int] = []
    unsubscribe = store.subscribe(lambda: calls.append(len(store.list())))
    await store.import_archive(stream(simple_oci_archive(layers=[BASE])))
    await store.build_rootfs(stream(BASE), "x")
    await store.collect()
    await store.remove("x")
    assert calls == [1, 2, 1]
    unsubscribe()
    await store.remove("made:1")
    assert calls == [1, 2, 1]
