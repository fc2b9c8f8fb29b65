"""OCI runtime-spec `linux.resources` as cgroup v2 files, and the change of files of a group in use.

See config-linux.md (control groups) of the runtime-spec, and crun's mapping of its v1 terms to cgroup v2.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from minipod.linux.cgroup2 import cgroup, cpu, hugetlb, memory, pids
from minipod.runtime.child import reason
from minipod.runtime.errors import RuntimeServiceError

_FILE = re.compile(r"(?!cgroup\.)[a-z]+(\.[A-Za-z0-9]+)+")
"""A controller's file; those of the group itself (cgroup.procs, cgroup.kill) set no resource."""


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


def update(group: Path, files: Mapping[str, str]) -> None:
    """Write files of a cgroup in use, in the order given; what was written before a refusal is set back.

    A value may be refused for what the others still are (memory.max below what is in use, or the kernel's EBUSY):
    nobody shall have to guess then which half is in force. Raises RuntimeServiceError naming file and value.
    """
    before: dict[str, str] = {}
    for name, value in files.items():
        try:
            if not _FILE.fullmatch(name):
                raise RuntimeServiceError(
                    f"cannot set {name!r}: not a controller's file, such as memory.max"
                )
            old = cgroup.read(group, name)
            cgroup.write(group, name, value)
        except (OSError, RuntimeServiceError) as error:
            _set_back(group, before)
            if isinstance(error, OSError):
                raise RuntimeServiceError(_refused(name, value, error)) from error
            raise
        before[name] = old


def _set_back(group: Path, before: Mapping[str, str]) -> None:
    for name, value in reversed(tuple(before.items())):
        try:
            cgroup.write(group, name, value)
        except OSError:
            continue


def _refused(name: str, value: str, error: OSError) -> str:
    why = reason(error)
    if error.errno == errno.ENOENT:
        why = f"the cgroup v2 controller {name.partition('.')[0]} is not available here"
    return f"cannot set {name} to {value!r}: {why}"
