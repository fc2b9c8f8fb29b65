"""Imports one archive into a store, to be killed meanwhile: python -m tests.kernel.images.importer ROOT ARCHIVE."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from minipod.images.store import ImageStore


async def main(root: Path, archive: Path) -> None:
    store = ImageStore(root)
    await store.start()
    print("started", flush=True)
    await store.import_archive(archive)
    print("imported", flush=True)
    await store.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
