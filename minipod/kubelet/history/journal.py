"""The journals of this node's pods: one append-only file per pod, DATA_DIR/history/NAMESPACE_NAME_UID.jsonl.

What happens in one go is written in one go a moment later, and nothing is written while nothing happens. A journal
is a convenience: when it cannot be written, that is logged once and no pod notices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet import events
from minipod.kubelet.history.entries import MAX_DETAIL, Detail, Step, printable
from minipod.kubelet.history.journal_file import MAX_BYTES
from minipod.kubelet.history.log_tail import log_tail as read_log_tail
from minipod.kubelet.history.pod_journal import PodJournal
from minipod.kubelet.history.shelf import Shelf
from minipod.kubelet.history.transitions import transitions
from minipod.kubelet.history.vocabulary import beginnings, how_it_ended, step_of
from minipod.kubelet.pod_names import log_directory_name
from minipod.kubelet.status.generate import terminated_state
from minipod.kubelet.status.records import ContainerRecord, History

log = logging.getLogger(__name__)

FLUSH_AFTER = 0.1
"""Seconds after which what was noted is written: a pod's birth and its end are one write each."""

HOOK_STARTED = "HookStarted"
"""How the reason of the event that a hook begins ends: the next one about a hook of that container tells its end."""

TERMINATIONS = 10
"""How many ends of each container are kept for certain."""


class PodHistory:
    """Takes down what happens to pods. No method raises or does more than one short read or write of a file.

    `directory` is made when there is something to write. `log_dir` is where containers' logs are.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], int],
        log_dir: Path | None = None,
        terminations: int = TERMINATIONS,
    ) -> None:
        self._shelf = Shelf(directory)
        self._clock = clock
        self._log_dir = log_dir
        self._terminations = terminations
        self._open: dict[str, PodJournal] = {}
        self._unwritten: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._failing = False

    def start(self, uids: Collection[str]) -> None:
        """Find the journals of earlier daemons; `uids` are the pods that still are in the API."""
        try:
            self._shelf.survey(uids)
        except OSError as error:
            self._complain(error)

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
        journal = self._journal(pod)
        if journal is None:
            return
        if pod.metadata.deletionTimestamp and not journal.deleting:
            grace = pod.metadata.deletionGracePeriodSeconds
            text = "deletion was asked for" + (f", grace period {grace}s" if grace is not None else "")
            journal.add(Step.DELETE, text, at=self._clock())
        soon = journal.add(
            step,
            printable(message.strip()),
            at=(0 if step is Step.HOOK else began) or ended or self._clock(),
            container=container,
            began=began or 0,
            ended=ended or 0,
            failed=failed,
            detail=_bounded(detail),
        )
        self._unwritten.add(pod.metadata.uid or "")
        if soon:
            self._write_soon()

    def event(self, pod: core_v1.Pod, type_: str, reason: str, message: str, container: str) -> None:
        """An Event is being written about the pod: an EventRecorder's `on_event`."""
        step = step_of(type_, reason)
        journal = self._journal(pod) if step else None
        if step is None or journal is None:
            return
        failed = type_ == events.WARNING
        detail = {"reason": reason}
        if step is not Step.HOOK:
            self.note(pod, step, message, container=container, failed=failed, detail=detail)
            return
        now = self._clock()
        began = journal.hook(container, now, begins=reason.endswith(HOOK_STARTED))
        self.note(
            pod, step, message, container=container, began=began, ended=now, failed=failed, detail=detail
        )

    def observe(
        self,
        pod: core_v1.Pod,
        before: core_v1.PodStatus,
        after: core_v1.PodStatus,
        histories: Mapping[str, History],
    ) -> None:
        """The pod's status is being reported: what became Ready or stopped being it, and which containers ended."""
        for history in histories.values():
            for record in (history.previous, history.latest):
                if record is not None and record.exited:
                    self._observe_end(pod, record)
        for change in transitions(before, after):
            self.note(pod, change.step, change.message, failed=change.failed)

    def termination(self, pod: core_v1.Pod, record: ContainerRecord, *, log_tail: Sequence[str]) -> None:
        """A container ended. The same end may be told any number of times."""
        journal = self._journal(pod)
        if journal is None or record.exit is None or journal.knows_end(record.name, record.id):
            return
        state, ended = terminated_state(record), record.exit
        detail: dict[str, str | int | bool] = {
            "id": record.id,
            "attempt": record.attempt,
            "exitCode": state.exitCode,
            "reason": state.reason or "",
        }
        if ended.signal:
            detail["signal"] = ended.signal
        if ended.oom_killed:
            detail["oomKilled"] = True
        if state.message:
            detail["message"] = state.message
        journal.add_end(
            how_it_ended(record, state.reason or ""),
            at=ended.finished_at or self._clock(),
            container=record.name,
            began=ended.started_at,
            ended=ended.finished_at,
            failed=state.exitCode != 0,
            detail=_bounded(detail),
            log=tuple(printable(line) for line in log_tail),
        )
        self._unwritten.add(pod.metadata.uid or "")
        self._write_soon()

    def deleted(self, pod: core_v1.Pod) -> None:
        """Nothing of the pod is left on this node. Its journal stays until many other pods were deleted."""
        self.note(pod, Step.DELETED, "nothing of the pod is left on this node")
        self.flush()
        uid = pod.metadata.uid or ""
        journal = self._open.pop(uid, None)
        try:
            self._shelf.put_away(uid, journal.size if journal else 0)
        except OSError as error:
            self._complain(error)

    def flush(self) -> None:
        """Write what is pending."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        unwritten, self._unwritten = self._unwritten, set()
        for uid in unwritten:
            if journal := self._open.get(uid):
                self._write(journal)

    def find(self, namespace: str, name: str, uid: str = "") -> Path | None:
        """The journal of a pod, without `uid` the newest one of that name."""
        return self._shelf.find(namespace, name, uid)

    def uids(self, namespace: str, name: str) -> list[str]:
        """Of every pod of that name that is remembered, the newest last."""
        return self._shelf.uids(namespace, name)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _observe_end(self, pod: core_v1.Pod, record: ContainerRecord) -> None:
        journal = self._journal(pod)
        if journal is None or journal.knows_end(record.name, record.id):
            return
        tail: Sequence[str] = ()
        if self._log_dir is not None and record.failure is None:
            tail = read_log_tail(
                self._log_dir / log_directory_name(pod) / record.name / f"{record.attempt}.log"
            )
        self.termination(pod, record, log_tail=tail)

    def _journal(self, pod: core_v1.Pod) -> PodJournal | None:
        """None for a pod whose journal is closed for good, or cannot be had."""
        uid = pod.metadata.uid or ""
        if journal := self._open.get(uid):
            return journal
        held = self._shelf.holds(uid)
        path = self._shelf.place(pod.metadata.namespace or "", pod.metadata.name or "", uid)
        if path is None:
            return None
        journal = PodJournal(path)
        try:
            fresh = not (held and journal.load())
        except OSError as error:
            self._complain(error)
            fresh = False
        if fresh:
            for entry in beginnings(pod):
                journal.add(entry.step, entry.message, at=entry.at, failed=entry.failed)
        self._open[uid] = journal
        return journal

    def _write_soon(self) -> None:
        if self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER, self.flush)
            except RuntimeError:
                self._timer = None  # without a loop whoever notes also flushes

    def _write(self, journal: PodJournal) -> None:
        try:
            self._shelf.make_directory()
            journal.write()
            if journal.size > MAX_BYTES:
                journal.compact(self._terminations)
        except OSError as error:
            self._complain(error)
        else:
            self._failing = False

    def _complain(self, error: OSError) -> None:
        if not self._failing:
            log.warning("cannot keep the history of pods: %s", error)
        self._failing = True


def _bounded(detail: Detail | None) -> dict[str, str | int | bool]:
    return {key: _text(value) if isinstance(value, str) else value for key, value in (detail or {}).items()}


def _text(value: str) -> str:
    """Lines stay lines: a termination message has several."""
    return "\n".join(printable(line, MAX_DETAIL) for line in value[:MAX_DETAIL].splitlines())
