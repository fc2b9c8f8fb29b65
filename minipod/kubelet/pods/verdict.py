"""An end that the kubelet has put to a running pod, kept on file until the API holds it.

A daemon that is killed in the middle of an eviction must not run the pod again. The file lies beside the pod's other
shared files in the run directory (a tmpfs: a full disk, the usual reason of an eviction, does not keep it from being
written) and goes with them once the pod's last status has been written.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec

from minipod.api import core_v1
from minipod.kubelet.backoff import MICROSECONDS
from minipod.kubelet.status.generate import Failed
from minipod.linux.replace_file import replace_file

log = logging.getLogger(__name__)

_NAME = "verdict.json"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`until` (µs): when whatever still runs of the pod is killed."""

    failed: Failed
    until: int

    def left(self, now: int) -> float:
        """Seconds of the grace period that are left at `now` (µs)."""
        return max(0.0, (self.until - now) / MICROSECONDS)


def record(shared_dir: Path, verdict: Verdict) -> None:
    """Put it on file. Where that fails it holds all the same, as long as this daemon lives."""
    try:
        shared_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(shared_dir / _NAME, msgspec.json.encode(verdict), mode=0o644)
    except OSError as error:
        log.warning("cannot put a pod's end on file: %s", error)


def recall(pod: core_v1.Pod, shared_dir: Path) -> Verdict | None:
    """What an earlier daemon put on file or into the Pod's status; None: nothing that can be read."""
    status = pod.status
    if status.phase == "Failed" and status.reason:
        return Verdict(Failed(status.reason, status.message or ""), until=0)
    try:
        return msgspec.json.decode((shared_dir / _NAME).read_bytes(), type=Verdict)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("cannot read a pod's end from file: %s", error)
        return None
