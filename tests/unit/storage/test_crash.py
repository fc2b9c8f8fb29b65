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
    command = [sys.executable, "-m", "tests.unit.storage.writer_process", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(writes_before_the_kill)]
        process.kill()
        lines += process.stdout.readlines()
    acknowledged = Counter(int(line) for line in lines)

    store = Store(path, RESOURCES)
    await store.start()
    try:
        found: list[dict[str, str]] = [{} for _ in range(WRITERS)]
        for stored in store.list("pods"):
            writer, which = stored.key.name.split("-")
            found[int(writer)][which] = stored.obj.metadata.labels["value"]
        for writer in range(WRITERS):
            count = acknowledged[writer]
            # The one write that was on its way may or may not have arrived.
            assert found[writer] in (state_after(count), state_after(count + 1))
    finally:
        await store.close()
