"""An image store on a disk of a few megabytes, in a mount namespace of its own: see test_full_disk.py."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from minipod.images.errors import ImageStoreError
from minipod.images.store import ImageStore
from tests.unit.images.archives import member, simple_oci_archive, tar


async def main(disk: Path) -> dict[str, object]:
    store = ImageStore(disk / "images")
    await store.start()
    small = simple_oci_archive("small", layers=[tar(member("a", b"1"))])
    await store.import_archive(_file(disk.parent / "small.tar", small))
    before = _files(disk)
    errors = []
    # The spooled blob alone is too large; then the blob fits, and unpacking it does not.
    for name, size in {"blob": 5_000_000, "layer": 2_500_000}.items():
        archive = simple_oci_archive(name, layers=[tar(member("big", os.urandom(size)))])
        try:
            await store.import_archive(_file(disk.parent / f"{name}.tar", archive))
        except ImageStoreError as error:
            errors.append(str(error))
    after = _files(disk)
    fitting = simple_oci_archive("fits", layers=[tar(member("big", os.urandom(1_500_000)))])
    await store.import_archive(_file(disk.parent / "fits.tar", fitting))
    images = [image.names for image in store.list()]
    await store.stop()
    return {"errors": errors, "unchanged": before == after, "images": images}


def _file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _files(root: Path) -> list[str]:
    return sorted(str(path) for path in root.rglob("*"))


if __name__ == "__main__":
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", sys.argv[1]], check=True)
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
