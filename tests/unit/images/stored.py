"""What the tests of the image store share: two layers, and ways to fill a store and to look at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from minipod.images.store import ImageStore
from tests.unit.images.archives import (
    directory,
    member,
    tar,
)
from tests.unit.images.trees import tree

BASE = tar(directory("bin"), member("bin/sh", b"#!", mode=0o755))
TOP = tar(member("etc/conf", b"top"))


async def stream(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def restarted(root: Path) -> ImageStore:
    again = ImageStore(root)
    await again.start()
    await again.stop()
    return again


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    return tree(root)
