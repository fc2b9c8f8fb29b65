"""`node` is a running node in a network namespace of its own; nothing of it may be left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.kernel.kubelet.node import Node
from tests.kernel.network.machine import fresh_netns


@pytest.fixture
def netns(word: str) -> Iterator[None]:
    with fresh_netns():
        yield


@pytest.fixture
async def node(netns: None, word: str, workdir: Path) -> AsyncIterator[Node]:
    made = Node(workdir, word)
    await made.start()
    await made.import_base()
    try:
        yield made
    finally:
        await made.end()
