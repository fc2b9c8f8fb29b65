"""What a container says of its end: a small file of its own, mounted at terminationMessagePath, and read afterwards.

https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/. The container may write what it
likes, as much as it likes: only the last bytes are ever read, and nothing but a regular file of the node's own.
"""

from __future__ import annotations

from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet.containers.container_config import PodContext
from minipod.kubelet.pod_names import AnyContainer

MAX_POD_BYTES = 12 * 1024
"""Bytes of messages in all of a pod's statuses together (MaxPodTerminationMessageLogLength)."""
MAX_MESSAGE_BYTES = 4 * 1024
MAX_LOG_BYTES = 2 * 1024
MAX_LOG_LINES = 80


def make_file(context: PodContext, container: AnyContainer, attempt: int) -> Path | None:
    """Make the empty file of one attempt, for ContainerRequest.termination_log; None when no path is asked for.

    It lies beside the attempt's writable layer and goes with it. A few system calls, about 0.1 ms. Raises OSError.
    """
    raise NotImplementedError


def read_termination_message(
    context: PodContext, container: AnyContainer, *, attempt: int, failed: bool
) -> str:
    """What an attempt that has ended left as its message; "" for none. Reads a few KiB and blocks no longer than that.

    `failed`: it ended with another code than 0 after it had been started (not a StartFailure); with the policy
    FallbackToLogsOnError the end of its log then stands in for an empty file. A problem with reading is the message.
    """
    raise NotImplementedError


def share_of_message(pod: core_v1.Pod, message: str) -> str:
    """A message cut to its container's equal share of the pod's MAX_POD_BYTES, for the status."""
    raise NotImplementedError
