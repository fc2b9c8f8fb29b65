"""Container output in systemd's journal, beside its log file: one entry a line, for `journalctl POD_NAME=web`.

The file is what counts (`minipod logs` reads it); an entry that journald does not take at once is left out, and said
to be, for no container may wait for a journal.
"""

from __future__ import annotations

from collections.abc import Mapping

from minipod.linux.sd_journal import Journal

PRIORITIES = {b"stdout": b"6", b"stderr": b"3"}
"""Informational and error, as Docker's journald driver has them."""


class JournalLog:
    """The entries of one container attempt. `fields` say whose they are: POD_NAME, CONTAINER_NAME, ..."""

    def __init__(self, journal: Journal, fields: Mapping[str, str]) -> None:
        self._journal = journal
        self._fields = [(name, value.encode()) for name, value in fields.items()]
        self._lost = 0

    def write(self, lines: bytes) -> None:
        """Lines as they are in the log file: time, stream, tag, text."""
        if self._lost:
            count, self._lost = self._lost, 0
            self._send(
                b"stderr", [("MESSAGE", b"%d lines are missing here: journald was slow" % count)], count
            )
        for line in lines.split(b"\n")[:-1]:
            _time, stream, tag, text = line.split(b" ", 3)
            entry = [("MESSAGE", text)]
            if tag == b"P":
                entry.append(("CONTAINER_PARTIAL_MESSAGE", b"true"))
            self._send(stream, entry, 1)

    def _send(self, stream: bytes, entry: list[tuple[str, bytes]], count: int) -> None:
        try:
            self._journal.send([*entry, ("PRIORITY", PRIORITIES[stream]), ("STREAM", stream), *self._fields])
        except OSError:
            self._lost += count
