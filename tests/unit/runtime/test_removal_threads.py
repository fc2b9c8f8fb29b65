"""Removals of any length leave the event loop's common threads alone."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from minipod.runtime.removal_threads import THREADS, RemovalThreads
from minipod.runtime.service import RuntimeService
from tests.helpers.threads import common_threads_taken


async def test_removals_are_done_while_no_common_thread_is_free(tmp_path: Path) -> None:
    service = RuntimeService(run_dir=tmp_path / "run", data_dir=tmp_path / "data", cgroup_root=tmp_path)
    stray = tmp_path / "data/pods/uid/containers/main/0"
    (stray / "upper/a").mkdir(parents=True)
    with common_threads_taken():
        await asyncio.wait_for(service.retain(()), 5)
    assert not stray.exists()
    await service.removals.stop()


async def test_stopping_waits_for_what_has_begun_and_drops_the_rest() -> None:
    removals, go_on = RemovalThreads(), threading.Event()
    begun: list[int] = []
    ended: list[int] = []

    def remove(number: int) -> None:
        begun.append(number)
        assert go_on.wait(5)
        ended.append(number)

    tasks = [asyncio.create_task(removals.run(remove, number)) for number in range(THREADS + 1)]
    async with asyncio.timeout(5):
        while len(begun) < THREADS:  # noqa: ASYNC110 (threads tell nobody)
            await asyncio.sleep(0.001)
    stopping = asyncio.create_task(removals.stop())
    with pytest.raises(asyncio.CancelledError):
        await tasks[-1]
    assert not stopping.done()
    go_on.set()
    await asyncio.wait_for(stopping, 5)
    await asyncio.gather(*tasks[:-1])
    assert sorted(ended) == list(range(THREADS))


async def test_an_error_reaches_who_asked() -> None:
    removals = RemovalThreads()

    def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await removals.run(fail)
    await removals.stop()
