"""`node` is a running node in a network namespace of its own; nothing of it may be left."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

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
async def make_node(
    netns: None, word: str, workdir: Path, base_images: Path
) -> AsyncIterator[Callable[..., Awaitable[Node]]]:
    """Starts the test's one node; keywords are NodeSettings that differ."""
    made: list[Node] = []

    async def make(**settings: Any) -> Node:
        shutil.copytree(base_images, workdir / "data" / "images", symlinks=True)
        made.append(Node(workdir, word, **settings))
        await made[0].start()
        return made[0]

    yield make
    for one in made:
        await one.end()


@pytest.fixture
async def node(make_node: Callable[..., Awaitable[Node]]) -> Node:
    return await make_node()
