"""One pod's journal while the pod is there: numbers entries, counts repeated ones, knows which ends it has."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from minipod.kubelet.history.entries import Entry, Step
from minipod.kubelet.history.journal_file import JournalFile

MAX_REPEATS = 32
"""How many different entries are remembered for counting."""
MAX_KNOWN = 16
"""How many ends of a container are remembered: the runtime and the API tell of the last two."""
MAX_PENDING = 256
PERSIST_AFTER = 60_000_000
"""µs after which a count that goes up is written again, if it has not doubled before."""

ONCE = frozenset((Step.CREATE, Step.START, Step.EXIT, Step.READY, Step.RESTART, Step.DELETE))
"""What is never counted up, because each time it is another thing; it also ends the counting of what came before."""

_Key = tuple[str, Step, str, bool]


@dataclass(slots=True)
class _Repeated:
    """`written`: when (µs) its count was last found worth writing."""

    entry: Entry
    written: int


class PodJournal:
    """`deleting`: the journal tells that the pod's deletion was asked for."""

    def __init__(self, path: Path) -> None:
        self.deleting = False
        self._file = JournalFile(path)
        self._next_id = 1
        self._ends: dict[str, list[str]] = {}
        self._hooks: dict[str, int] = {}
        self._repeats: OrderedDict[_Key, _Repeated] = OrderedDict()
        self._pending: dict[int, Entry] = {}

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._file.size

    def load(self) -> bool:
        """Take up what an earlier daemon wrote; False when there is nothing. Raises OSError."""
        entries = self._file.load()
        for entry in entries:
            self._next_id = max(self._next_id, entry.id + 1)
            self.deleting = self.deleting or entry.step is Step.DELETE
            if entry.step is Step.EXIT:
                self._know_end(entry.container, str(entry.detail.get("id", "")))
        return bool(entries)

    def knows_end(self, container: str, container_id: str) -> bool:
        return container_id in self._ends.get(container, ())

    def hook(self, container: str, now: int, *, begins: bool) -> int | None:
        """A hook of the container begins or ends `now` (µs); of one that ends: when it began, if that is known."""
        began = self._hooks.pop(container, None)
        if begins:
            self._hooks[container] = now
        return None if begins else began

    def add(self, step: Step, message: str, *, at: int, container: str = "", **fields: Any) -> bool:
        """One more entry, or one more of the same; `fields` are those of Entry. True when it is to be written soon."""
        failed = bool(fields.get("failed"))
        key = (container, step, message, failed)
        known = self._repeats.get(key)
        if known is not None:
            return self._count_up(known, at)
        if step in ONCE or (step is Step.PROBE and not failed):
            self._forget_repeats(container)
        self.deleting = self.deleting or step is Step.DELETE
        entry = Entry(id=self._next_id, at=at, step=step, message=message, container=container, **fields)
        self._next_id += 1
        if len(self._pending) < MAX_PENDING:
            self._pending[entry.id] = entry
        if step not in ONCE:
            self._repeats[key] = _Repeated(entry, written=at)
            if len(self._repeats) > MAX_REPEATS:
                self._repeats.popitem(last=False)
        return True

    def add_end(
        self, message: str, *, at: int, container: str, detail: dict[str, Any], **fields: Any
    ) -> None:
        """A container's end; `detail["id"]` tells it from others."""
        self._know_end(container, str(detail["id"]))
        self.add(Step.EXIT, message, at=at, container=container, detail=detail, **fields)

    def write(self) -> None:
        """What is pending, in one write. It is gone from memory even if that fails. Raises OSError."""
        pending, self._pending = self._pending, {}
        if pending:
            self._file.append(pending.values())

    def compact(self, terminations: int) -> None:
        """See JournalFile."""
        self._file.compact(terminations)

    def _count_up(self, known: _Repeated, at: int) -> bool:
        """Counts are written when they doubled or are a minute old: a probe may fail every second for days."""
        known.entry = entry = replace(known.entry, count=known.entry.count + 1, last=at)
        self._pending[entry.id] = entry
        soon = entry.count & (entry.count - 1) == 0 or at - known.written >= PERSIST_AFTER
        if soon:
            known.written = at
        return soon

    def _forget_repeats(self, container: str) -> None:
        for key in [key for key in self._repeats if key[0] == container]:
            del self._repeats[key]

    def _know_end(self, container: str, container_id: str) -> None:
        known = self._ends.setdefault(container, [])
        known.append(container_id)
        del known[:-MAX_KNOWN]
