"""What becomes of the pods when systemd stops the daemon: decided from the jobs that systemd has queued."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from minipod.config import StopPolicy
from minipod.systemd.units import PODS, SERVICE

SHUTDOWN = "shutdown.target"
_TIMEOUT = 5.0
"""Seconds that systemd may take to list its jobs."""


class PodsFate(StrEnum):
    """KEEP: they live on. STOP: they end in their own time. SHUT_DOWN: in the time the machine has for it."""

    KEEP = "keep"
    STOP = "stop"
    SHUT_DOWN = "shutDown"


@dataclass(frozen=True, slots=True)
class Job:
    unit: str
    type: str
    """start, stop, restart, ... (org.freedesktop.systemd1(5))."""


def pods_fate(jobs: Iterable[Job], policy: StopPolicy) -> PodsFate:
    """A restart keeps pods, a stop does as configured, and pods never outlive the unit whose cgroup they are in."""
    types = {job.unit: job.type for job in jobs}
    if types.get(SHUTDOWN) == "start":
        return PodsFate.SHUT_DOWN
    if types.get(PODS) in ("stop", "restart"):
        return PodsFate.STOP
    if types.get(SERVICE) == "stop" and policy is StopPolicy.STOP:
        return PodsFate.STOP
    return PodsFate.KEEP


def parse_jobs(text: str) -> list[Job]:
    """The output of `systemctl list-jobs --plain --no-legend`: number, unit, type, state."""
    lines = (line.split() for line in text.splitlines())
    return [Job(fields[1], fields[2]) for fields in lines if len(fields) >= 4]


def queued_jobs() -> list[Job]:
    """Raises OSError or subprocess.SubprocessError when systemd does not answer."""
    shown = subprocess.run(
        ["systemctl", "list-jobs", "--plain", "--no-legend", "--no-pager"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=True,
    )
    return parse_jobs(shown.stdout)
