"""CrashLoopBackOff as a pure rule over what a container's record already says.

The delay that a container is under is written into its record when it starts (the runtime keeps it as a label), so
nothing about back-off lives in memory: a daemon that was killed and came back waits exactly as long.

Kubernetes: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
"""

from __future__ import annotations

from dataclasses import dataclass

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOffPolicy:
    """All in seconds: the first delay, the longest one, and how long a run must last to be forgiven."""

    initial: float = 10.0
    maximum: float = 300.0
    reset: float = 600.0


@dataclass(frozen=True, slots=True)
class Restart:
    """When the next attempt may start (µs since the epoch) and the delay its record is to carry (seconds)."""

    start_at: int
    next_delay: float


def restart_after(policy: BackOffPolicy, *, delay: float, started_at: int, finished_at: int) -> Restart:
    """Decide the restart of a container that ran from started_at to finished_at (µs) under `delay` (seconds).

    The first restart is immediate (`delay` 0), the second waits `initial`, then the delay doubles up to `maximum`.
    A run longer than `reset` wipes the slate: immediate restart, and counting begins anew.
    """
    ran_for = (finished_at - started_at) / MICROSECONDS if started_at else 0.0
    if delay <= 0 or ran_for > policy.reset:
        return Restart(finished_at, min(policy.initial, policy.maximum))
    return Restart(finished_at + round(delay * MICROSECONDS), min(delay * 2, policy.maximum))


def retry_delay(failures: int, *, initial: float, maximum: float) -> float:
    """Seconds to wait after the given number of failures in a row (1, 2, ...): `initial`, doubling up to `maximum`."""
    return min(initial * 2.0 ** min(failures - 1, 62), maximum) if failures > 0 else 0.0
