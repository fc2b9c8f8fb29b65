"""What is in the store after imports."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from minipod.images import oci
from minipod.images.errors import (
    InvalidImageError,
    InvalidReferenceError,
)
from minipod.images.store import ImageStore
from tests.unit.images.archives import (
    MadeImage,
    descriptor,
    digest,
    docker_archive,
    encode,
    member,
    oci_archive,
    simple_oci_archive,
    tar,
)
from tests.unit.images.stored import BASE, TOP, restarted, snapshot, stream

MADE = "docker.io/library/made:1"


async def test_an_import_from_a_stream(store: ImageStore, root: Path) -> None:
    config = {"Cmd": ["sh"], "Env": ["A=B"], "User": "app", "Labels": {"x": "y"}, "Volumes": None}
    made = MadeImage([BASE, TOP], config=config, extra={"created": "2024-01-02T03:04:05Z"})
    (image,) = await store.import_archive(stream(oci_archive([made.described(MADE)], made.blobs)))
    assert image.id == digest(made.config_blob)
    assert image.digest == digest(encode(made.manifest))
    assert image.names == (MADE,)
    assert image.config == {"Cmd": ["sh"], "Env": ["A=B"], "User": "app", "Labels": {"x": "y"}}
    assert image.size == 5
    assert image.created_at == 1704164645_000_000
    top, base = image.layers
    assert (top / "etc/conf").read_bytes() == b"top"
    assert (base / "bin/sh").stat().st_mode & 0o7777 == 0o755
    assert store.list() == [image]
    assert root.stat().st_mode & 0o7777 == 0o700
    assert not list((root / "tmp").iterdir())


@pytest.mark.parametrize("compress", [gzip.compress, bytes])
async def test_an_import_from_a_file(store: ImageStore, tmp_path: Path, compress: Any) -> None:
    (tmp_path / "a.tar").write_bytes(compress(simple_oci_archive(layers=[BASE], compressed=True)))
    (image,) = await store.import_archive(tmp_path / "a.tar")
    assert (image.layers[0] / "bin/sh").exists()


async def test_the_layout_is_one_that_others_can_read(store: ImageStore, root: Path) -> None:
    await store.import_archive(stream(simple_oci_archive(layers=[BASE])))
    assert json.loads((root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (described,) = json.loads((root / "index.json").read_text())["manifests"]
    assert described["annotations"] == {oci.REF_NAME: MADE, oci.IMAGE_NAME: MADE}
    for blob in (root / "blobs/sha256").iterdir():
        assert digest(blob.read_bytes()) == f"sha256:{blob.name}"


async def test_docker_save_and_names(store: ImageStore) -> None:
    made = MadeImage([BASE])
    (image,) = await store.import_archive(stream(docker_archive(made, "busybox", "minipod/base:2")))
    for name in (
        "busybox",
        "docker.io/library/busybox:latest",
        "minipod/base:2",
        image.id,
        image.id.removeprefix("sha256:"),
        image.digest,
        f"busybox@{image.digest}",
        f"busybox:whatever@{image.digest}",
        f"minipod/base@{image.digest}",
    ):
        assert store.resolve(name) == image, name
    for name in (
        "minipod/base",
        "busybox:2",
        f"other@{image.digest}",
        "BUSYBOX",
        "",
        "sha256:" + "0" * 64,
        image.id[:20],
    ):
        assert store.resolve(name) is None, name


async def test_a_name_given_on_import(store: ImageStore) -> None:
    (image,) = await store.import_archive(stream(simple_oci_archive(layers=[BASE])), name="mine")
    assert image.names == ("docker.io/library/mine:latest",)
    assert store.resolve("made:1") is None
    with pytest.raises(InvalidReferenceError):
        await store.import_archive(stream(b""), name="Mine")
    two = MadeImage([BASE]), MadeImage([TOP])
    archive = oci_archive([m.described() for m in two], [b for m in two for b in m.blobs])
    with pytest.raises(InvalidImageError, match="the archive has 2 images, and there is only one name"):
        await store.import_archive(stream(archive), name="mine")


async def test_two_images_of_one_name_are_refused(store: ImageStore) -> None:
    two = MadeImage([BASE]), MadeImage([TOP])
    listings = []
    members = []
    for i, made in enumerate(two):
        listings.append({"Config": f"c{i}", "RepoTags": ["same"], "Layers": [f"l{i}"]})
        members += [member(f"c{i}", made.config_blob), member(f"l{i}", made.layers[0])]
    with pytest.raises(InvalidImageError, match=r"two images of the name docker.io/library/same:latest"):
        await store.import_archive(stream(tar(*members, member("manifest.json", encode(listings)))))
    assert store.list() == []


async def test_a_multi_platform_index(store: ImageStore) -> None:
    mine, other = MadeImage([BASE]), MadeImage([TOP], architecture="s390x")
    index = encode(
        {
            "schemaVersion": 2,
            "manifests": [
                m.described(platform={"os": "linux", "architecture": m.architecture}) for m in (other, mine)
            ],
        }
    )
    annotations = {oci.REF_NAME: "multi:1"}
    described = descriptor(index, oci.INDEX, annotations=annotations)
    (image,) = await store.import_archive(stream(oci_archive([described], [index, *mine.blobs])))
    assert image.digest == digest(index)
    assert store.resolve(f"multi@{digest(index)}") == image
    assert store.resolve(f"multi@{digest(encode(mine.manifest))}") == image


async def test_layers_are_shared(store: ImageStore, root: Path) -> None:
    for name, layers in {"one": [BASE], "two": [BASE, TOP], "three": [TOP, BASE]}.items():
        await store.import_archive(stream(simple_oci_archive(name, layers=layers, compressed=name == "two")))
    one, two, three = (store.resolve(name) for name in ("one", "two", "three"))
    assert one
    assert two
    assert three
    assert one.layers == two.layers[1:]
    # The same content on top of something else is another layer: what it hides differs.
    assert set(three.layers).isdisjoint(two.layers)
    assert len(list((root / "layers").iterdir())) == 4


async def test_equal_layers_in_one_image_have_directories_of_their_own(store: ImageStore) -> None:
    (image,) = await store.import_archive(stream(simple_oci_archive(layers=[BASE, TOP, BASE, BASE])))
    assert len(set(image.layers)) == 4


async def test_importing_twice_changes_nothing(store: ImageStore, root: Path) -> None:
    archive = simple_oci_archive(layers=[BASE])
    first = await store.import_archive(stream(archive))
    before = snapshot(root)
    assert await store.import_archive(stream(archive)) == first
    assert snapshot(root) == before


async def test_a_name_moves_to_the_image_that_came_last(store: ImageStore) -> None:
    (old,) = await store.import_archive(stream(docker_archive(MadeImage([BASE]), "app", "keep")))
    (new,) = await store.import_archive(stream(docker_archive(MadeImage([TOP]), "app")))
    assert store.resolve("app") == new
    kept = store.resolve("keep")
    assert kept is not None
    assert (kept.id, kept.names) == (old.id, ("docker.io/library/keep:latest",))


async def test_an_image_whose_last_name_moved_stays_for_those_who_use_it(
    store: ImageStore, root: Path
) -> None:
    (old,) = await store.import_archive(stream(docker_archive(MadeImage([BASE]), "app")))
    (new,) = await store.import_archive(stream(docker_archive(MadeImage([TOP]), "app")))
    leftover = store.resolve(old.id)
    assert leftover is not None
    assert (leftover.names, leftover.layers) == ((), old.layers)
    assert (await restarted(root)).list() == store.list() == [new, leftover]
    # Whoever works out what is in use from list() must not lose sight of it.
    assert await store.collect(in_use=leftover.layers) == 0
    assert store.list() == [new, leftover]
    assert await store.collect() > 0
    assert store.list() == [new]
    assert len(list((root / "layers").iterdir())) == 1
    assert len(list((root / "blobs/sha256").iterdir())) == 3
    assert await store.collect() == 0


async def test_the_same_image_in_another_form_leaves_nothing_over(store: ImageStore) -> None:
    await store.import_archive(stream(simple_oci_archive("app", layers=[BASE])))
    (image,) = await store.import_archive(stream(simple_oci_archive("app", layers=[BASE], compressed=True)))
    assert store.list() == [image]


async def test_a_leftover_that_is_wanted_again(store: ImageStore) -> None:
    await store.import_archive(stream(docker_archive(MadeImage([BASE]), "app")))
    await store.import_archive(stream(docker_archive(MadeImage([TOP]), "app")))
    (back,) = await store.import_archive(stream(docker_archive(MadeImage([BASE]))))
    await store.collect()
    assert back in store.list()
    await store.import_archive(stream(docker_archive(MadeImage([BASE]), "app")))
    await store.collect()
    assert [image.names for image in store.list()] == [("docker.io/library/app:latest",)]


async def test_a_nameless_image_that_gets_a_name(store: ImageStore) -> None:
    (nameless,) = await store.import_archive(stream(docker_archive(MadeImage([BASE]))))
    assert store.list() == [nameless]
    assert store.resolve(nameless.id) == nameless
    await store.import_archive(stream(docker_archive(MadeImage([BASE]), "named")))
    assert [image.names for image in store.list()] == [("docker.io/library/named:latest",)]
    await store.import_archive(stream(docker_archive(MadeImage([BASE]))))
    assert [image.names for image in store.list()] == [("docker.io/library/named:latest",)]
