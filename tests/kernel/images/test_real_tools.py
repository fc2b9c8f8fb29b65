"""Images made by umoci and skopeo: imported, they show the tree that umoci itself unpacks."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from minipod.images.store import ImageStore
from minipod.images.types import Image
from tests.kernel.images.overlay import merged
from tests.unit.images.trees import tree

pytestmark = pytest.mark.skipif(
    shutil.which("umoci") is None or shutil.which("skopeo") is None,
    reason="umoci and skopeo are not installed",
)


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stderr}"


class Umoci:
    """An OCI layout with one tag that grows layer by layer."""

    def __init__(self, place: Path) -> None:
        self.layout = place / "layout"
        self._place = place
        self._count = 0
        run("umoci", "init", "--layout", self.layout)
        run("umoci", "new", "--image", f"{self.layout}:v1")

    def layer(self, change: Callable[[Path], None]) -> None:
        bundle = self.unpack()
        change(bundle / "rootfs")
        run("umoci", "repack", "--image", f"{self.layout}:v1", bundle)

    def unpack(self) -> Path:
        self._count += 1
        bundle = self._place / f"bundle{self._count}"
        run("umoci", "unpack", "--image", f"{self.layout}:v1", bundle)
        return bundle

    def copy(self, target: str) -> None:
        run("skopeo", "--insecure-policy", "copy", "--quiet", f"oci:{self.layout}:v1", target)


def first(root: Path) -> None:
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "usr/bin/busybox")
    os.chmod(root / "usr/bin/busybox", 0o4755)
    os.link(root / "usr/bin/busybox", root / "usr/bin/sh")
    (root / "bin").symlink_to("usr/bin")
    (root / "tmp").mkdir()
    os.chmod(root / "tmp", 0o1777)
    (root / "etc").mkdir()
    (root / "etc/gone").write_text("gone")
    (root / "etc/changed").write_text("old")
    (root / "var/log/deep/down").mkdir(parents=True)
    (root / "var/log/deep/down/file").write_text("x")
    os.chown(root / "var/log", 100, 101)
    os.mknod(root / "var/null", 0o020666, os.makedev(1, 3))
    os.setxattr(root / "etc/changed", "user.note", b"\x00\xff binary")
    (root / "var/café").write_text("unicode")
    (root / "var" / ("long" * 40)).write_text("long name")


def second(root: Path) -> None:
    (root / "etc/gone").unlink()
    (root / "etc/changed").write_text("new")
    shutil.rmtree(root / "var/log/deep")
    (root / "var/log/deep").mkdir()
    (root / "var/log/deep/fresh").write_text("fresh")
    (root / "bin").unlink()
    (root / "bin").mkdir()
    (root / "tmp/scratch").write_text("s")


def third(root: Path) -> None:
    shutil.rmtree(root / "etc")
    (root / "etc").write_text("a file now")
    (root / "usr/bin/sh").unlink()


async def imported(place: Path, archive: Path) -> Image:
    store = ImageStore(place / "images")
    await store.start()
    try:
        (image,) = await store.import_archive(archive)
        return image
    finally:
        await store.stop()


@pytest.fixture
def umoci(workdir: Path) -> Umoci:
    made = Umoci(workdir)
    for change in (first, second, third):
        made.layer(change)
    run("umoci", "config", "--image", f"{made.layout}:v1", "--config.cmd", "sh", "--config.env", "A=B")
    return made


@pytest.mark.parametrize("form", ["tar of the layout", "oci-archive", "docker-archive", "gzip", "zstd"])
def test_the_same_tree_as_umoci_unpacks(workdir: Path, umoci: Umoci, form: str) -> None:
    archive = workdir / "archive.tar"
    match form:
        case "tar of the layout":
            run("tar", "-C", umoci.layout, "-cf", archive, ".")
        case "oci-archive":
            umoci.copy(f"oci-archive:{archive}:example.org/app:1")
        case _:
            umoci.copy(f"docker-archive:{archive}:example.org/app:1")
    if form in ("gzip", "zstd"):
        run(form, "--quiet", archive)
        archive = archive.with_suffix(".tar.gz" if form == "gzip" else ".tar.zst")
    image = asyncio.run(imported(workdir, archive))
    assert image.config["Cmd"] == ["sh"]
    assert "A=B" in image.config["Env"]
    assert len(image.layers) == 3
    if form != "tar of the layout":
        assert image.names == ("example.org/app:1",)
    expected = tree(umoci.unpack() / "rootfs")
    found = merged(image.layers, workdir)
    assert found.keys() == expected.keys()
    for path in expected:
        assert found[path] == expected[path], path


def test_skopeo_reads_our_layout(workdir: Path, umoci: Umoci) -> None:
    archive = workdir / "archive.tar"
    umoci.copy(f"docker-archive:{archive}:example.org/app:1")
    image = asyncio.run(imported(workdir, archive))
    copy = workdir / "copy"
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--quiet",
        f"oci:{workdir}/images:example.org/app:1",
        f"oci:{copy}:x",
    )
    blobs = {path.name for path in (copy / "blobs/sha256").iterdir()}
    assert image.id.removeprefix("sha256:") in blobs
