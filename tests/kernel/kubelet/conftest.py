"""`node` is a running node in a network namespace of its own; nothing of it may be left."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from minipod.images.store import ImageStore
from tests.kernel.kubelet.node import Node, make_base
from tests.kernel.network.machine import fresh_netns


@pytest.fixture(scope="session")
def base_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image store that has minipod/base, made once; every node gets a copy."""
    directory = tmp_path_factory.mktemp("base")
    make_base(directory / "root")

    async def build() -> None:
        store = ImageStore(directory / "images")
        await store.start()
        await store.build_rootfs(directory / "root", "minipod/base")
        await store.stop()

    asyncio.run(build())
    return directory / "images"


@pytest.fixture
def netns(word: str) -> Iterator[None]:
    with fresh_netns():
        yield


@pytest.fixture
async def node(netns: None, word: str, workdir: Path, base_images: Path) -> AsyncIterator[Node]:
    shutil.copytree(base_images, workdir / "data" / "images", symlinks=True)
    made = Node(workdir, word)
    await made.start()
    try:
        yield made
    finally:
        await made.end()
