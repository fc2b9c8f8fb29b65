"""What is wrong with an archive is refused whole: nothing of it stays."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from minipod.images import oci
from minipod.images.errors import (
    ImageStoreError,
    InvalidImageError,
    UnsupportedImageError,
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
    symlink,
    tar,
)
from tests.unit.images.stored import BASE, TOP, snapshot, stream


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
