"""An image store of its own for each test that asks for one."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from minipod.images.store import ImageStore


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
