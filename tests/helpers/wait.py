"""Waiting for conditions on the monotonic clock, so that no test sleeps "long enough"."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SLOWNESS = float(os.environ.get("MINIPOD_TEST_SLOWNESS", "1"))
"""How many times slower than usual this machine is (an emulated one, say): patience is multiplied by it."""

FIRST_PAUSE = 0.001
LONGEST_PAUSE = 0.05


def wait_until(
    condition: Callable[[], T], timeout: float = 10.0, message: str | Callable[[], str] = ""
) -> T:
    """Ask until `condition()` is true and return what it answered; AssertionError after `timeout` seconds."""
    timeout *= SLOWNESS
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            said = message() if callable(message) else message
            raise AssertionError(f"not within {timeout:g} s: {said or condition!r}; last answer: {answer!r}")
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
