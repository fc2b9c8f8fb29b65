"""How a pod worker sleeps: until it is rung, or until a moment that it asked for; and which changes ring it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from minipod.api import core_v1
from minipod.kubelet.backoff import MICROSECONDS, retry_delay
from minipod.kubelet.prober.state import PERIOD_ANNOTATION


def what_wakes(pod: core_v1.Pod) -> tuple[object, ...]:
    """What of a Pod a worker acts on, to be compared: a change of anything else need not wake it."""
    meta = pod.metadata
    gates = {gate.conditionType for gate in pod.spec.readinessGates}
    gated = [(c.type, c.status) for c in pod.status.conditions if c.type in gates] if gates else []
    period = meta.annotations.get(PERIOD_ANNOTATION)
    return meta.generation, meta.deletionTimestamp, meta.deletionGracePeriodSeconds, period, gated


def earliest(moments: Iterable[int | None]) -> int | None:
    """None: never."""
    return min((m for m in moments if m is not None), default=None)


class Alarm:
    """`clock` gives microseconds since the epoch, as do all moments here."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    def reset(self) -> None:
        self._rung.clear()

    async def sleep(self, until: int | None) -> None:
        """Until rung, or until the given moment. Returns at once when it was rung before."""
        if until is None:
            await self._rung.wait()
            return
        try:
            async with asyncio.timeout(max(0.0, (until - self._clock()) / MICROSECONDS)):
                await self._rung.wait()
        except TimeoutError:
            pass

    async def nap(self, until: int | None) -> None:
        """Sleep and reset: for a wait inside of something that goes on afterwards."""
        await self.sleep(until)
        self.reset()


class Retries:
    """Counts failures in a row; each makes the next try wait longer."""

    def __init__(self, clock: Callable[[], int], *, initial: float, maximum: float) -> None:
        """Delays in seconds."""
        self._clock = clock
        self._initial = initial
        self._maximum = maximum
        self._failures = 0
        self.failed_at = 0
        """The last failure (µs). It lies in the future when the clock was set back: then nobody has to wait for it."""

    def failed(self) -> int:
        """When (µs) to try again what failed just now."""
        self._failures += 1
        self.failed_at = self._clock()
        delay = retry_delay(self._failures, initial=self._initial, maximum=self._maximum)
        return self.failed_at + round(delay * MICROSECONDS)

    def succeeded(self) -> None:
        self._failures = 0
