"""The store: what is there after imports, removals, failures, cancellations and restarts."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from minipod.images import oci
from minipod.images.errors import (
    ImageNotFoundError,
    ImageStoreError,
    InvalidImageError,
    InvalidReferenceError,
    UnsupportedImageError,
)
from minipod.images.store import ImageStore
from tests.unit.images.archives import (
    MadeImage,
    descriptor,
    digest,
    directory,
    docker_archive,
    encode,
    member,
    oci_archive,
    simple_oci_archive,
    symlink,
    tar,
)
from tests.unit.images.trees import tree

BASE = tar(directory("bin"), member("bin/sh", b"#!", mode=0o755))
TOP = tar(member("etc/conf", b"top"))
MADE = "docker.io/library/made:1"


async def stream(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.fixture
def root() -> Iterator[Path]:
    """In memory: the store syncs the file system it is on, which others may be writing to."""
    with tempfile.TemporaryDirectory(prefix="minipod-images", dir="/dev/shm") as found:
        yield Path(found) / "images"


@pytest.fixture
async def store(root: Path) -> AsyncIterator[ImageStore]:
    store = ImageStore(root)
    await store.start()
    yield store
    await store.stop()


async def restarted(root: Path) -> ImageStore:
    again = ImageStore(root)
    await again.start()
    await again.stop()
    return again


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    return tree(root)


# -- import ----------------------------------------------------------------------------------------------------------


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


# -- refused whole ---------------------------------------------------------------------------------------------------


def broken(**change: Any) -> bytes:
    """Two images, the second one broken: nothing of the first may stay."""
    good = MadeImage([BASE])
    bad = MadeImage(change.pop("layers", [BASE, TOP]), extra=change.pop("extra", {}))
    blobs = [b for b in (*good.blobs, *bad.blobs) if b not in change.get("without", ())]
    return oci_archive([good.described("good"), bad.described("bad")], blobs)


WRONG_SIZE = {**MadeImage([BASE]).described("x"), "size": 1}
OTHER_DIFF_ID = {"rootfs": {"type": "layers", "diff_ids": [digest(BASE), digest(b"other")]}}
OTHER_LAYER = MadeImage([BASE, TOP], compressed=True)

REFUSED = {
    "missing layer": (broken(without=[TOP]), f"layer {digest(TOP)}: the blob {digest(TOP)} is missing"),
    "missing config": (
        broken(without=[MadeImage([BASE, TOP]).config_blob]),
        "image configuration sha256:",
    ),
    "missing manifest": (oci_archive([MadeImage([BASE]).described("x")], []), "is missing"),
    "wrong size": (oci_archive([WRONG_SIZE], MadeImage([BASE]).blobs), "its descriptor says 1"),
    "wrong diff id": (broken(extra=OTHER_DIFF_ID), f"layer {digest(TOP)}: its content has the digest"),
    "not a tar": (broken(layers=[b"x" * 1000]), f"layer {digest(b'x' * 1000)}: not a tar archive"),
    "trap": (
        broken(layers=[tar(symlink("l", "/etc"), member("l/evil"))]),
        "entry 'l/evil': goes through the link 'l' to '/etc', out of the layer",
    ),
    "truncated layer": (broken(layers=[tar(member("a", b"x" * 3000))[:2000]]), "truncated"),
    "truncated archive": (broken()[:9000], "truncated"),
    "truncated gzip": (gzip.compress(broken())[:-5], "truncated"),
    "other platform": (
        simple_oci_archive(layers=[BASE], architecture="vax"),
        "the image is for linux/vax",
    ),
    "no archive": (b"root:x:0:0", "not a tar archive"),
}


@pytest.mark.parametrize("case", list(REFUSED))
async def test_what_is_wrong_is_refused_whole(store: ImageStore, root: Path, case: str) -> None:
    await store.import_archive(stream(docker_archive(MadeImage([tar(member("before"))]), "before")))
    before = snapshot(root)
    calls: list[None] = []
    store.subscribe(lambda: calls.append(None))
    data, reason = REFUSED[case]
    with pytest.raises((InvalidImageError, UnsupportedImageError)) as caught:
        await store.import_archive(stream(data))
    assert str(caught.value).startswith("cannot import the image archive: ")
    assert reason in str(caught.value)
    assert snapshot(root) == before
    assert len(store.list()) == 1
    assert not calls


async def test_a_blob_that_claims_to_be_a_layer_we_have_is_checked_too(store: ImageStore) -> None:
    await store.import_archive(stream(simple_oci_archive(layers=[BASE])))
    lie = gzip.compress(TOP, mtime=0)
    made = MadeImage([BASE])
    manifest = {**made.manifest, "layers": [descriptor(lie, oci.LAYER + "+gzip")]}
    described = descriptor(encode(manifest), oci.MANIFEST)
    with pytest.raises(InvalidImageError, match=f"digest {digest(TOP)}, expected {digest(BASE)}"):
        await store.import_archive(
            stream(oci_archive([described], [lie, made.config_blob, encode(manifest)]))
        )


async def test_a_path_that_is_no_archive(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidImageError, match="is a directory, expected an archive"):
        await store.import_archive(tmp_path)
    with pytest.raises(InvalidImageError, match="nowhere: No such file"):
        await store.import_archive(tmp_path / "nowhere")
    with pytest.raises(InvalidImageError, match="/dev/zero is neither a directory nor a file"):
        await store.build_rootfs(Path("/dev/zero"), "x")


async def test_a_sender_that_breaks_off(store: ImageStore, root: Path) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield simple_oci_archive(layers=[BASE])[:3000]
        raise ConnectionResetError("peer went away")

    before = snapshot(root)
    with pytest.raises(InvalidImageError, match="its transfer broke off: peer went away"):
        await store.import_archive(breaking())
    assert snapshot(root) == before


async def test_a_failure_while_publishing_is_taken_back(
    store: ImageStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(root)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minipod.images.layout.Layout.write_index", fail)
    with pytest.raises(
        ImageStoreError, match=r"cannot import the image archive: No space left on device \(/"
    ):
        await store.import_archive(stream(simple_oci_archive(layers=[BASE, TOP])))
    assert snapshot(root) == before
    assert store.list() == []


# -- cancelled, stopped, killed --------------------------------------------------------------------------------------


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


# -- remove ----------------------------------------------------------------------------------------------------------


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


# -- build -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
async def test_a_tar_becomes_an_image(store: ImageStore, compress: Any) -> None:
    image = await store.build_rootfs(stream(compress(BASE)), "minipod/base")
    assert image.names == ("docker.io/minipod/base:latest",)
    assert store.resolve("minipod/base") == image
    assert (image.layers[0] / "bin/sh").read_bytes() == b"#!"
    assert image.config["Cmd"] == ["/bin/sh"]
    assert image.config["Env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    assert image.created_at > 0


async def test_the_same_root_gives_the_same_image(store: ImageStore) -> None:
    one = await store.build_rootfs(stream(BASE), "one")
    two = await store.build_rootfs(stream(BASE), "two")
    assert (one.id, one.digest, one.layers) == (two.id, two.digest, two.layers)
    assert two.names == ("docker.io/library/one:latest", "docker.io/library/two:latest")


async def test_a_config_of_one_s_own(store: ImageStore) -> None:
    image = await store.build_rootfs(stream(BASE), "x", config={"Entrypoint": ["/bin/app"], "User": "7"})
    assert image.config == {"Entrypoint": ["/bin/app"], "User": "7"}
    with pytest.raises(
        InvalidImageError, match=r"cannot build image docker.io/library/x:latest: .* at `Cmd`"
    ):
        await store.build_rootfs(stream(BASE), "x", config={"Cmd": "not a list"})


async def test_a_directory_becomes_an_image(store: ImageStore, tmp_path: Path) -> None:
    source = tmp_path / "rootfs"
    (source / "usr/bin").mkdir(parents=True)
    (source / "usr/bin/sh").write_bytes(b"#!")
    (source / "usr/bin/sh").chmod(0o4755)
    (source / "usr/bin/ash").hardlink_to(source / "usr/bin/sh")
    (source / "bin").symlink_to("usr/bin")
    (source / "outside").symlink_to("/etc/passwd")
    (source / "tmp").mkdir()
    (source / "tmp").chmod(0o1777)
    image = await store.build_rootfs(source, "x")
    assert tree(image.layers[0], times=True) == tree(source, times=True)
    assert image.config["Cmd"] == ["/bin/sh"]
    assert (await store.build_rootfs(source, "y")).id == image.id


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the root file system is empty"),
        (b"just a file\n" * 100, "not a tar archive"),
        (BASE[:1536], "no end marker"),
        (BASE[:1100], "truncated"),
        (tar(member("../evil")), 'its name has ".." in it'),
        (gzip.compress(BASE)[:-1], "truncated"),
    ],
)
async def test_a_root_that_is_none(store: ImageStore, root: Path, data: bytes, reason: str) -> None:
    before = snapshot(root)
    with pytest.raises(InvalidImageError) as caught:
        await store.build_rootfs(stream(data), "x")
    assert reason in str(caught.value)
    assert snapshot(root) == before


async def test_a_root_that_is_a_file_on_disk(store: ImageStore) -> None:
    with pytest.raises(InvalidImageError, match="not a tar archive"):
        await store.build_rootfs(Path("/etc/passwd"), "x")


async def test_a_directory_with_a_whiteout_s_name(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/.wh.secret").touch()
    with pytest.raises(InvalidImageError, match=r"the name '.wh.secret' is reserved"):
        await store.build_rootfs(tmp_path / "r", "x")
