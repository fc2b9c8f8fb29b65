"""The spawner's rehearsal is a whole life: it comes to its end by itself, and leaves nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

from minipod.runtime.rehearsal import rehearse
from tests.kernel.linux.test_wrappers import in_child


def test_it_is_played_to_its_end_and_leaves_nothing(workdir: Path) -> None:
    def body() -> str:
        before = time.monotonic()
        fds = len(os.listdir("/proc/self/fd"))
        rehearse(workdir / "scratch")
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
        if (left := len(os.listdir("/proc/self/fd")) - fds) > 0:
            return f"{left} descriptors left"
        return "quick" if time.monotonic() - before < 4 else "slow"

    assert in_child(body) == "quick"
    assert list(workdir.iterdir()) == []
