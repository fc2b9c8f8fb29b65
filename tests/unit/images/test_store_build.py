"""A root file system becomes an image."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from minipod.images.errors import (
    InvalidImageError,
)
from minipod.images.store import ImageStore
from tests.unit.images.archives import (
    member,
    tar,
)
from tests.unit.images.stored import BASE, snapshot, stream
from tests.unit.images.trees import tree


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
