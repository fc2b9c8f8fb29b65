"""What a container would see: layers mounted by overlayfs in a mount namespace of a process that ends at once.

Run as a program (inside `unshare --mount`): python -m tests.kernel.images.overlay MOUNTPOINT LAYER... prints the tree.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.unit.images.trees import tree

PROJECT = Path(__file__).parents[3]

Tree = dict[str, tuple[object, ...]]


def merged(layers: Sequence[Path], workdir: Path, *, times: bool = False) -> Tree:
    """The layers (uppermost first) as one tree. `workdir` is an existing directory."""
    for name in ("empty", "mnt"):
        (workdir / name).mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "tests.kernel.images.overlay",
        workdir / "mnt",
        *layers,
        workdir / "empty",
    ]
    done = subprocess.run(
        ["unshare", "--mount", "--", *command], cwd=PROJECT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found: Tree = pickle.loads(done.stdout)
    return found if times else {path: entry[:-1] for path, entry in found.items()}


def main() -> None:
    mountpoint, *layers = sys.argv[1:]
    options = "lowerdir=" + ":".join(layers)
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, mountpoint], check=True)
    sys.stdout.buffer.write(pickle.dumps(tree(Path(mountpoint), times=True)))


if __name__ == "__main__":
    main()
