"""kill -9 in the middle of writing: everything that was acknowledged is there."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from minipod.api.scheme import RESOURCES
from minipod.storage.store import Store
from tests.unit.storage.writer_process import WRITERS, state_after


@pytest.mark.parametrize("writes_before_the_kill", [1, 50, 333])
async def test_kill_9_loses_nothing_acknowledged(tmp_path: Path, writes_before_the_kill: int) -> None:
    path = tmp_path / "state.db"
    acknowledged = write_and_be_killed(path, writes_before_the_kill)
    found: dict[int, dict[str, str]] = {writer: {} for writer in range(WRITERS)}
    store = Store(path, RESOURCES)
    await store.start()
    for stored in store.list("pods"):
        number, which = stored.key.name.split("-")
        found[int(number)][which] = stored.obj.metadata.labels["value"]
    await store.close()
    for writer in range(WRITERS):
        count = acknowledged[writer]
        # The one write that was on its way may or may not have arrived.
        assert found[writer] in (state_after(count), state_after(count + 1))


def write_and_be_killed(path: Path, writes: int) -> Counter[int]:
    """How many writes of each writer were acknowledged before the process was killed."""
    command = [sys.executable, "-m", "tests.unit.storage.writer_process", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(writes)]
        process.kill()
        lines += process.stdout.readlines()
    return Counter(int(line) for line in lines)
