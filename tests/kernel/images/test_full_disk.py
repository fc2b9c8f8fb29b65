"""A disk that fills up in the middle of an import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]


def test_a_full_disk_is_one_clear_error_and_leaves_no_trace(workdir: Path) -> None:
    disk = workdir / "disk"
    disk.mkdir()
    command = ["unshare", "--mount", "--", sys.executable, "-m", "tests.kernel.images.small_disk", disk]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    error = f"cannot import the image archive: No space left on device ({disk}/images)"
    assert result["errors"] == [error, error]
    assert result["unchanged"]
    assert result["images"] == [["docker.io/library/fits:latest"], ["docker.io/library/small:latest"]]
