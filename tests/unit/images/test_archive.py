"""Image archives: the forms there are, and the ones that lie."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from minipod.images import oci
from minipod.images.archive import ArchivedImage, read_archive
from minipod.images.errors import ImageError, InvalidImageError
from minipod.images.layout import BlobDirectory
from minipod.images.oci import Platform
from tests.unit.images.archives import (
    ARCHITECTURE,
    MadeImage,
    descriptor,
    digest,
    docker_archive,
    encode,
    hardlink,
    member,
    oci_archive,
    simple_oci_archive,
    symlink,
    tar,
)

LAYER = tar(member("a", b"1"))
IMAGE = MadeImage([LAYER])
BUSYBOX = "docker.io/library/busybox"


@pytest.fixture
def blobs(tmp_path: Path) -> BlobDirectory:
    return BlobDirectory(tmp_path)


def read(blobs: BlobDirectory, data: bytes) -> list[ArchivedImage]:
    return read_archive(io.BytesIO(data), blobs, Platform(ARCHITECTURE, "linux"))


def names(images: list[ArchivedImage]) -> list[tuple[str, ...]]:
    return [image.names for image in images]


def annotated(image: MadeImage, **annotations: str) -> dict[str, Any]:
    return {**image.described(), "annotations": annotations}


def test_an_oci_archive(blobs: BlobDirectory) -> None:
    (image,) = read(blobs, simple_oci_archive("busybox:1", layers=[LAYER]))
    assert image.names == (f"{BUSYBOX}:1",)
    assert image.target.digest == digest(encode(IMAGE.manifest))
    assert blobs.read(image.target, "") == encode(IMAGE.manifest)
    assert set(blobs.digests()) >= {digest(b) for b in IMAGE.blobs}


def test_containerd_s_name_comes_before_the_bare_tag(blobs: BlobDirectory) -> None:
    described = annotated(IMAGE, **{oci.IMAGE_NAME: f"{BUSYBOX}:7", oci.REF_NAME: "7"})
    assert names(read(blobs, oci_archive([described], IMAGE.blobs))) == [(f"{BUSYBOX}:7",)]


def test_several_names_and_images(blobs: BlobDirectory) -> None:
    other = MadeImage([LAYER], config={"Cmd": ["other"]})
    data = oci_archive(
        [IMAGE.described("b"), IMAGE.described("a"), other.described("c"), other.described("Not A Name")],
        [*IMAGE.blobs, *other.blobs],
    )
    a, b, c = (f"docker.io/library/{n}:latest" for n in "abc")
    assert names(read(blobs, data)) == [(a, b), (c,)]


def test_an_image_without_a_name(blobs: BlobDirectory) -> None:
    assert names(read(blobs, oci_archive([IMAGE.described()], IMAGE.blobs))) == [()]


@pytest.mark.parametrize("name", ["", "busybox"])
def test_one_image_for_several_platforms_in_index_json(blobs: BlobDirectory, name: str) -> None:
    other = MadeImage([LAYER], architecture="s390x")
    described = [
        m.described(name, platform={"os": "linux", "architecture": m.architecture}) for m in (other, IMAGE)
    ]
    (image,) = read(blobs, oci_archive(described, [*other.blobs, *IMAGE.blobs]))
    assert image.target.digest == digest(encode(IMAGE.manifest))


def test_docker_save(blobs: BlobDirectory) -> None:
    made = MadeImage([LAYER, tar(member("b"))])
    (image,) = read(blobs, docker_archive(made, "busybox:1", "minipod/base:latest"))
    assert image.names == (f"{BUSYBOX}:1", "docker.io/minipod/base:latest")
    manifest = oci.parse_manifest(blobs.read(image.target, ""), "")
    assert manifest.config.digest == digest(made.config_blob)
    assert [layer.digest for layer in manifest.layers or ()] == [digest(layer) for layer in made.layers]


def test_docker_save_of_an_untagged_image(blobs: BlobDirectory) -> None:
    assert names(read(blobs, docker_archive(IMAGE))) == [()]


@pytest.mark.parametrize(
    "link", [symlink("two/layer.tar", "../one/layer.tar"), hardlink("two/layer.tar", "one/layer.tar")]
)
def test_docker_save_links_equal_layers(blobs: BlobDirectory, link: Any) -> None:
    made = MadeImage([LAYER, LAYER])
    listing = [{"Config": "c.json", "RepoTags": ["x"], "Layers": ["one/layer.tar", "two/layer.tar"]}]
    data = tar(
        member("one/layer.tar", LAYER),
        link,
        member("c.json", made.config_blob),
        member("manifest.json", encode(listing)),
    )
    (image,) = read(blobs, data)
    manifest = oci.parse_manifest(blobs.read(image.target, ""), "")
    assert [layer.digest for layer in manifest.layers or ()] == [digest(LAYER)] * 2


def test_docker_25_archives_are_read_as_oci(blobs: BlobDirectory) -> None:
    described = annotated(IMAGE, **{oci.IMAGE_NAME: f"{BUSYBOX}:new"})
    listing = [{"Config": "blobs/sha256/none", "RepoTags": ["busybox:old"], "Layers": []}]
    data = oci_archive([described], IMAGE.blobs, files={"manifest.json": encode(listing)})
    assert names(read(blobs, data)) == [(f"{BUSYBOX}:new",)]


WRONG_BLOB = f"blobs/sha256/{digest(LAYER)[7:]}"
CONFIG_NAME = f"{digest(IMAGE.config_blob)[7:]}.json"


def docker(listing: object, **files: bytes) -> bytes:
    return tar(member("manifest.json", encode(listing)), *(member(n, d) for n, d in files.items()))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "neither index.json nor manifest.json"),
        (b"#!/bin/sh\n" * 100, "not a tar archive"),
        (tar(member("etc/passwd")), "`minipod image build-rootfs`"),
        (simple_oci_archive(layers=[LAYER])[:-12000], "truncated"),
        (
            oci_archive([IMAGE.described()], IMAGE.blobs, files={WRONG_BLOB: b"lie"}),
            "its content has the digest",
        ),
        (
            oci_archive([IMAGE.described()], IMAGE.blobs, files={"oci-layout": b"{}"}),
            "oci-layout: Object missing",
        ),
        (
            oci_archive([], [], files={"oci-layout": encode({"imageLayoutVersion": "2.0.0"})}),
            "version '2.0.0' is not supported",
        ),
        (tar(member("index.json", b"{}")), "no oci-layout"),
        (oci_archive([], []), "index.json names no images"),
        (oci_archive([], [], files={"index.json": b"{"}), "index.json: Input data was truncated"),
        (oci_archive([], [], files={"index.json": b" " * 5_000_000}), "the limit is 4194304"),
        (oci_archive([{"digest": "x", "size": 1}], []), "manifests[0]: digest is 'x'"),
        (
            oci_archive([descriptor(b"", oci.MANIFEST, platform={"os": "plan9"})], []),
            "there is plan9/unknown",
        ),
        (docker([]), "manifest.json names no images"),
        (docker({}), "manifest.json: Expected `array`"),
        (docker([{"Config": "c", "Layers": []}]), "[0].Config is 'c', which the archive does not have"),
        (docker([{"Config": "../../etc/passwd", "Layers": []}]), "which the archive does not have"),
        (docker([{"Config": "c", "Layers": ["l"]}], c=b"{}"), "[0].Layers[0] is 'l', which the archive"),
        (
            docker([{"Config": "c", "RepoTags": ["A B"], "Layers": []}], c=b"{}"),
            "[0].RepoTags: couldn't parse",
        ),
        (docker([{"Config": CONFIG_NAME}], **{CONFIG_NAME: b"lie"}), "its content has the digest"),
        (tar(member("../../evil", b"x")), 'has ".." in it'),
        (tar(symlink("manifest.json", "manifest.json")), "neither index.json"),
        (tar(symlink("index.json", "/etc/passwd")), "neither index.json"),
        (tar(member("x"), member("bad\udcff")), "its name is not UTF-8"),
    ],
)
def test_archives_that_are_refused(blobs: BlobDirectory, data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        read(blobs, data)
    assert reason in str(caught.value)


def test_an_archive_that_does_not_end_is_refused(
    blobs: BlobDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipod.images.archive.TRAILER_MAX", 100_000)
    with pytest.raises(InvalidImageError, match="goes on after its end"):
        read(blobs, simple_oci_archive(layers=[LAYER]) + bytes(1_000_000))


def test_too_many_files_are_refused(blobs: BlobDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minipod.images.archive.FILES_MAX", 3)
    with pytest.raises(InvalidImageError, match="more than 3 files"):
        read(blobs, simple_oci_archive(layers=[LAYER]))
