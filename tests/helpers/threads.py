"""The event loop's common threads, as `asyncio.to_thread` uses them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def common_threads_taken() -> Iterator[None]:
    """While this lasts, no common thread is free. To be used in a running event loop."""
    let_go = threading.Event()
    threads = ThreadPoolExecutor(1)
    threads.submit(let_go.wait)
    asyncio.get_running_loop().set_default_executor(threads)
    try:
        yield
    finally:
        let_go.set()
