"""The cpu controller: weights and bandwidth, and the conversions from Kubernetes' and cgroup v1's units.

The share-to-weight formula is KEP-2254's, which kubelet, runc and crun 1.8 share; it maps 2..262144 onto 1..10000.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minipod.linux.cgroup2.cgroup import flat_keyed, read

MIN_SHARES = 2
MAX_SHARES = 262144
SHARES_PER_CPU = 1024
PERIOD_US = 100_000
MIN_QUOTA_US = 1000
MIN_WEIGHT = 1
MAX_WEIGHT = 10000


def shares_from_milli(milli_cpu: int) -> int:
    """cgroup v1 shares for a CPU request in thousandths of a core (kubelet's MilliCPUToShares)."""
    return min(max(milli_cpu * SHARES_PER_CPU // 1000, MIN_SHARES), MAX_SHARES)


def quota_from_milli(milli_cpu: int, period_us: int = PERIOD_US) -> int:
    """Microseconds of CPU time per period for a CPU limit in thousandths of a core; 0 means no limit."""
    if milli_cpu <= 0:
        return 0
    return max(milli_cpu * period_us // 1000, MIN_QUOTA_US)


def weight_from_shares(shares: int) -> int:
    """cpu.weight for cgroup v1 shares."""
    shares = min(max(shares, MIN_SHARES), MAX_SHARES)
    return MIN_WEIGHT + (shares - MIN_SHARES) * (MAX_WEIGHT - MIN_WEIGHT) // (MAX_SHARES - MIN_SHARES)


def max_value(quota_us: int, period_us: int = 0) -> str:
    """The value of cpu.max; a quota of 0 or less is no limit, a period of 0 the kernel's default."""
    quota = str(quota_us) if quota_us > 0 else "max"
    return f"{quota} {period_us or PERIOD_US}"


def files(*, shares: int = 0, quota_us: int = 0, period_us: int = 0) -> dict[str, str]:
    """cgroup file -> value. 0 leaves a setting as it is; a negative quota lifts the limit."""
    values = {}
    if shares:
        values["cpu.weight"] = str(weight_from_shares(shares))
    if quota_us or period_us:
        values["cpu.max"] = max_value(quota_us, period_us)
    return values


@dataclass(frozen=True, slots=True)
class CpuStat:
    """cpu.stat, microseconds. The throttling figures are 0 where the controller is not on."""

    usage_us: int
    user_us: int
    system_us: int
    periods: int
    throttled_periods: int
    throttled_us: int


def stat(group: Path) -> CpuStat:
    """CPU time used by the group and all below it; there with and without the controller."""
    values = flat_keyed(read(group, "cpu.stat"))
    return CpuStat(
        usage_us=values.get("usage_usec", 0),
        user_us=values.get("user_usec", 0),
        system_us=values.get("system_usec", 0),
        periods=values.get("nr_periods", 0),
        throttled_periods=values.get("nr_throttled", 0),
        throttled_us=values.get("throttled_usec", 0),
    )
