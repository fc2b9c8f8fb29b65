"""Threads of their own for taking away what strangers have written.

A tree of millions of files takes minutes to remove. It may keep other removals waiting, but not what the event loop's
common threads do: answers of the API, recovery of pods, volumes of new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVarTuple

Ts = TypeVarTuple("Ts")

THREADS = 2


class RemovalThreads:
    """One object per daemon; threads are started as they are needed."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="remove")

    async def run(self, remove: Callable[[*Ts], None], *args: *Ts) -> None:
        """Call `remove`, which may block for long, and return when it is done. Raises what it raises."""
        await asyncio.get_running_loop().run_in_executor(self._threads, remove, *args)

    async def stop(self) -> None:
        """Wait for what is being removed; what has not begun is left for the next daemon."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
