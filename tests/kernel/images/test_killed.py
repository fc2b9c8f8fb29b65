"""A store whose process is killed at any moment of an import."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from minipod.images.store import ImageStore
from tests.helpers.wait import wait_until
from tests.unit.images.archives import directory, member, simple_oci_archive, tar
from tests.unit.images.trees import tree

PROJECT = Path(__file__).parents[3]
LAYERS = [
    tar(*(member(f"d{layer}/f{i}", b"x" * 100) for i in range(200)), directory(f"d{layer}", 0o700))
    for layer in range(3)
]


def start_import(root: Path, archive: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.kernel.images.importer", root, archive]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


async def reopened(root: Path) -> ImageStore:
    store = ImageStore(root)
    await store.start()
    await store.collect()
    await store.stop()
    return store


def test_killed_in_the_middle(workdir: Path) -> None:
    root, pipe = workdir / "images", workdir / "archive"
    asyncio.run(reopened(root))
    before = tree(root)
    os.mkfifo(pipe)
    process = start_import(root, pipe)
    with pipe.open("wb", buffering=0) as half:
        half.write(simple_oci_archive(layers=LAYERS)[:50_000])
        wait_until(lambda: any((root / "tmp").rglob("*/blobs/*")))
        end(process)
    assert any((root / "tmp").iterdir())
    assert asyncio.run(reopened(root)).list() == []
    assert tree(root) == before


def test_killed_at_any_moment(workdir: Path) -> None:
    """Whatever the moment, the image is there whole or not at all, and the one before is untouched."""
    root, archives = workdir / "images", {}
    for name, layers in {"old": LAYERS[:1], "new": LAYERS}.items():
        archives[name] = workdir / f"{name}.tar"
        archives[name].write_bytes(simple_oci_archive(name, layers=layers))
    for name in archives:
        process = start_import(root, archives[name])
        begun = time.monotonic()
        assert process.wait() == 0
        duration = time.monotonic() - begun
        end(process)
    expected = seen(asyncio.run(reopened(root)))
    for sixth in range(7):
        asyncio.run(removed(root, "new"))
        process = start_import(root, archives["new"])
        killer = threading.Timer(duration * sixth / 6, process.kill)
        killer.start()
        process.wait()
        killer.cancel()
        end(process)
        found = seen(asyncio.run(reopened(root)))
        assert found in (expected, {"old": expected["old"]})
        if "new" not in found:
            asyncio.run(imported(root, archives["new"]))
            assert seen(asyncio.run(reopened(root))) == expected


def seen(store: ImageStore) -> dict[str, object]:
    """What the images are called, and all that is in them."""
    return {
        image.names[0].removeprefix("docker.io/library/").removesuffix(":latest"): [
            tree(p) for p in image.layers
        ]
        for image in store.list()
    }


async def imported(root: Path, archive: Path) -> None:
    store = ImageStore(root)
    await store.start()
    await store.import_archive(archive)
    await store.stop()


async def removed(root: Path, name: str) -> None:
    store = ImageStore(root)
    await store.start()
    await store.remove(name)
    await store.stop()
