"""Holds the lock that delays shutdowns, ends the pods when one begins, and lets go then.

Pods stay in the API: the next boot brings them back. A shutdown that is called off brings them back at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from minipod.kubelet.shutdown.order import Group, shutdown_groups

log = logging.getLogger(__name__)

WHY = "Pods end before the machine does"
FIRST_RETRY = 1.0
LONGEST_RETRY = 600.0
"""Seconds between tries to reach logind; on a machine that has none they tell nobody anything new."""


class Node(Protocol):
    """What a shutdown needs of the kubelet."""

    async def shut_down_in_order(self, groups: Sequence[Group]) -> None:
        """End all pods, group after group, and start none."""

    async def resume(self) -> None:
        """Start them again."""


class DelayLock(Protocol):
    """logind.Logind, or what stands in for it."""

    def allow_delay(self, seconds: float) -> None: ...

    def lock(self, why: str) -> int: ...

    def follow(self, on_shutdown: Callable[[bool], None], on_lost: Callable[[Exception], None]) -> None: ...

    def close(self) -> None: ...


def system_logind() -> DelayLock:
    """The machine's own; imports the D-Bus library, which only a service needs."""
    from minipod.kubelet.shutdown.logind import Logind

    return Logind()


class ShutdownManager:
    """`total` seconds are for all pods, of which `critical` are kept for critical ones."""

    def __init__(
        self,
        node: Node,
        *,
        total: float,
        critical: float,
        connect: Callable[[], DelayLock] = system_logind,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._node = node
        self._total = total
        self._groups = shutdown_groups(total, critical)
        self._connect = connect
        self._sleep = sleep

    async def run(self) -> None:
        """Until cancelled, or at once when pods get no time. Where logind cannot be reached it is tried again."""
        delay, told = FIRST_RETRY, ""
        while self._total > 0:
            try:
                await self._watch()
                delay, told = FIRST_RETRY, ""
            except Exception as error:
                if str(error) != told:
                    log.warning("no graceful node shutdown by logind: %s; it is tried again", error)
                told = str(error)
            await self._sleep(delay)
            delay = min(delay * 2, LONGEST_RETRY)

    async def _watch(self) -> None:
        """Hold a lock until a shutdown has begun and been called off, or the bus has gone."""
        logind = await asyncio.to_thread(self._connect)
        fd = -1
        try:
            fd = await asyncio.to_thread(self._prepare, logind)
            news: asyncio.Queue[bool | Exception] = asyncio.Queue()
            logind.follow(news.put_nowait, news.put_nowait)
            while True:
                match await news.get():
                    case True:
                        log.info("the machine is shutting down: pods end within %g s", self._total)
                        await self._node.shut_down_in_order(self._groups)
                        if fd >= 0:
                            os.close(fd)
                            fd = -1
                    case False:
                        log.info("the shutdown was called off: pods start again")
                        await self._node.resume()
                        return
                    case error:
                        raise error
        finally:
            if fd >= 0:
                os.close(fd)
            logind.close()

    def _prepare(self, logind: DelayLock) -> int:
        logind.allow_delay(self._total)
        return logind.lock(WHY)
