"""The journals of this node's pods: one append-only file per pod, DATA_DIR/history/NAMESPACE_NAME_UID.jsonl."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet.history.entries import Detail, Entry, Step
from minipod.kubelet.status.records import ContainerRecord, History


class PodHistory:
    """Takes down what happens to pods. No method raises, waits for a disk or is worth more than some microseconds.

    `directory` is made when there is something to write. `log_file` names the log of one attempt at a container.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], int],
        log_file: Callable[[core_v1.Pod, str, int], Path] | None = None,
        terminations: int = 10,
    ) -> None:
        raise NotImplementedError

    def start(self, uids: Collection[str]) -> None:
        """Find the journals of earlier daemons; `uids` are the pods that still are in the API."""

    def note(
        self,
        pod: core_v1.Pod,
        step: Step,
        message: str,
        *,
        container: str = "",
        began: int | None = None,
        ended: int | None = None,
        failed: bool = False,
        detail: Detail | None = None,
    ) -> None:
        """Something happened; `began` and `ended` in µs since the epoch when it took time, now otherwise."""

    def event(self, pod: core_v1.Pod, type_: str, reason: str, message: str, container: str) -> None:
        """An Event is being written about the pod: an EventRecorder's `on_event`."""

    def observe(
        self,
        pod: core_v1.Pod,
        before: core_v1.PodStatus,
        after: core_v1.PodStatus,
        histories: Mapping[str, History],
    ) -> None:
        """The pod's status is being reported: what became Ready or stopped being it, and which containers ended."""

    def termination(self, pod: core_v1.Pod, record: ContainerRecord, *, log_tail: Sequence[str]) -> None:
        """A container ended. The same end may be told any number of times."""

    def deleted(self, pod: core_v1.Pod) -> None:
        """Nothing of the pod is left on this node. Its journal stays until many other pods were deleted."""

    def flush(self) -> None:
        """Write what is pending."""

    def find(self, namespace: str, name: str, uid: str = "") -> Path | None:
        """The journal of a pod, without `uid` the newest one of that name."""
        raise NotImplementedError


def read(path: Path) -> list[Entry]:
    """The entries of a journal in the order of their times; what is torn or no entry is left out. Raises OSError."""
    raise NotImplementedError
