"""What a container says of its end: a small file of its own, mounted at terminationMessagePath, and read afterwards.

https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/. The container may write what it
likes, as much as it likes: only the last bytes are ever read, and nothing but a regular file of the node's own.
"""

from __future__ import annotations

import os
from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet.containers.container_config import PodContext, attempt_directory, log_path
from minipod.kubelet.containers.log_end import end_of_file, log_ends
from minipod.kubelet.pod_names import AnyContainer, all_containers
from minipod.kubelet.server.logs import LogFormatter, LogOptions

MAX_POD_BYTES = 12 * 1024
"""Bytes of messages in all of a pod's statuses together (the kubelet's MaxPodTerminationMessageLogLength)."""
MAX_MESSAGE_BYTES = 4 * 1024
MAX_LOG_BYTES = 2 * 1024
MAX_LOG_LINES = 80
"""What may come from a file, and what from a log (MaxContainerTerminationMessage{Length,LogLength,LogLines})."""

_FILE = "termination-log"
_FALLBACK = "FallbackToLogsOnError"
_FILE_MODE = 0o666
"""Whatever user the container runs as: it is to write there."""
_LOG_READ = 32 * 1024
"""Lines of a log have 16 KiB at most: after the one that is cut in half there is more left than can be used."""


def make_file(context: PodContext, container: AnyContainer, attempt: int) -> Path | None:
    """Make the empty file of one attempt, for ContainerRequest.termination_log; None when no path is asked for.

    It lies beside the attempt's writable layer and goes with it. A few system calls, about 0.1 ms. Raises OSError.
    """
    if not container.terminationMessagePath:
        return None
    path = _path(context, container, attempt)
    os.makedirs(path.parent, mode=0o755, exist_ok=True)
    try:
        fd = _create(path)
    except FileExistsError:  # of a start that failed; what is in there was written by somebody else
        os.unlink(path)
        fd = _create(path)
    try:
        os.fchmod(fd, _FILE_MODE)
    finally:
        os.close(fd)
    return path


def read_termination_message(
    context: PodContext, container: AnyContainer, *, attempt: int, failed: bool
) -> str:
    """What an attempt that has ended left as its message; "" for none.

    Reads 4 KiB and, for a log, 32 KiB of each of its last files as far as needed: tens of µs, to be called once, before
    the attempt is removed. `failed`: it ended with another code than 0 after it had been started (no StartFailure);
    with the policy FallbackToLogsOnError the end of its log then stands in for an empty or missing file. A file that
    cannot be read makes the message say so, as in the kubelet.
    """
    message = ""
    if container.terminationMessagePath:
        path = _path(context, container, attempt)
        try:
            data, cut = end_of_file(path, MAX_MESSAGE_BYTES)
            message = _text(data, MAX_MESSAGE_BYTES, cut=cut)
        except FileNotFoundError:
            pass
        except OSError as error:
            return f"Error on reading termination log {path}: {error.strerror}"
    if message or not failed or container.terminationMessagePolicy != _FALLBACK:
        return message
    try:
        return _end_of_log(log_path(context, container.name, attempt))
    except OSError as error:
        return f"Error on reading termination message from logs: {error.strerror}"


def share_of_message(pod: core_v1.Pod, message: str) -> str:
    """A message cut to its container's equal share of the pod's MAX_POD_BYTES, for the status."""
    share = MAX_POD_BYTES // max(len(all_containers(pod)), 1)
    return message.encode()[:share].decode(errors="ignore")


def _path(context: PodContext, container: AnyContainer, attempt: int) -> Path:
    return attempt_directory(context, container.name, attempt) / _FILE


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _end_of_log(path: Path) -> str:
    """The last lines of a CRI log, across its rotated files."""
    lines: list[bytes] = []
    for found, cut in log_ends(path, _LOG_READ):
        lines = found + lines
        if cut or len(lines) >= MAX_LOG_LINES:
            break
    formatter = LogFormatter(LogOptions())
    data = b"".join(formatter.format(line) for line in lines[-MAX_LOG_LINES:])
    return _text(data[-MAX_LOG_BYTES:], MAX_LOG_BYTES, cut=len(data) > MAX_LOG_BYTES)


def _text(data: bytes, limit: int, *, cut: bool) -> str:
    """Bytes of a stranger as text whose UTF-8 has at most `limit` bytes; `cut`: they begin in the middle."""
    if cut:
        head = data[:3].lstrip(bytes(range(0x80, 0xC0)))  # the rest of a character cut in half
        data = head + data[3:]
    text = data.decode(errors="replace")
    return text.encode()[-limit:].decode(errors="ignore")
