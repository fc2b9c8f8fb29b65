"""OCI runtime-spec `linux.resources` as cgroup v2 files. Pure.

See config-linux.md (control groups) of the runtime-spec, and crun's mapping of its v1 terms to cgroup v2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minipod.linux.cgroup2 import cpu, hugetlb, memory, pids


def cgroup_files(resources: Mapping[str, Any]) -> dict[str, str]:
    """cgroup file -> value; `unified` entries come last and win. `devices` is not a file: see device_rules."""
    values: dict[str, str] = {}
    if part := resources.get("cpu"):
        values |= cpu.files(
            shares=part.get("shares") or 0,
            quota_us=part.get("quota") or 0,
            period_us=part.get("period") or 0,
        )
        values |= {f"cpuset.{key}": part[key] for key in ("cpus", "mems") if part.get(key)}
    if part := resources.get("memory"):
        values |= memory.files(
            limit=part.get("limit") or 0,
            reservation=part.get("reservation") or 0,
            memory_and_swap=part.get("swap") or 0,
        )
    if part := resources.get("pids"):
        values |= pids.files(part.get("limit") or 0)
    values |= hugetlb.files({p["pageSize"]: p["limit"] for p in resources.get("hugepageLimits") or ()})
    return values | dict(resources.get("unified") or {})


def controllers(files: Iterable[str]) -> frozenset[str]:
    """The controllers that these files belong to; files every group has ("cgroup.*") need none."""
    return frozenset(name.partition(".")[0] for name in files) - {"cgroup"}
