"""How many Events may be written about one object: a pod that flaps must not fill disk and API, nor hide the others.

A bucket of tokens per object, as client-go's spam filter has it, with room for the birth of a pod of many containers.
https://github.com/kubernetes/client-go/blob/master/tools/record/events_cache.go
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

BURST = 200
"""How many Events there may be about an object at once."""
PER_SECOND = 1.0
"""How many more there may be in every second after that."""
MAX_OBJECTS = 4096
"""How many objects are kept account of; the one that was silent for longest is forgotten first."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class EventBudget:
    """`now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, about: str) -> bool:
        """Whether one more Event about this object (any word that names it) may be written."""
        now = self._now()
        bucket = self._buckets.pop(about, None) or _Bucket(BURST, now)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.at) * PER_SECOND)
        bucket.at = now
        self._buckets[about] = bucket
        if len(self._buckets) > MAX_OBJECTS:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True
