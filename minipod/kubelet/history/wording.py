"""Times and ends in the words of a headline."""

from __future__ import annotations

from collections.abc import Sequence

from minipod.api import core_v1
from minipod.api.timestamps import to_epoch_us
from minipod.kubelet.history.entries import Entry, Step, printable
from minipod.kubelet.history.vocabulary import signal_name

MAX_QUOTE = 160
"""Characters of a container's last words in a headline."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def span(microseconds: int) -> str:
    """The two largest units: 12s, 2m5s, 5h3m, 2d4h; less than a second is 0s."""
    left = max(microseconds, 0) // 1_000_000
    for index, (size, unit) in enumerate(_UNITS):
        if left >= size:
            more = left % size // _UNITS[index + 1][0] if index + 1 < len(_UNITS) else 0
            return f"{left // size}{unit}" + (f"{more}{_UNITS[index + 1][1]}" if more else "")
    return "0s"


def ago(at: int, now: int) -> str:
    """ "12s ago"; "" for a time that is not known."""
    return f"{span(now - at)} ago" if at else ""


def times_since(count: int, at: int, now: int) -> str:
    """ "12 times in 40s", "once, 40s ago"."""
    return f"{count} times in {span(now - at)}" if count > 1 else f"once, {ago(at, now)}"


def since(at: int, now: int) -> str:
    """ "for 12s"; "" for a time that is not known."""
    return f"for {span(now - at)}" if at else ""


def joined(*parts: str) -> str:
    """Those that are not empty, with spaces between."""
    return " ".join(part for part in parts if part)


def the_end(ended: core_v1.ContainerStateTerminated, entry: Entry | None, now: int) -> str:
    """ "exit 1 Error 12s ago", "OOMKilled (exit 137) 12s ago", "SIGSEGV (exit 139) Error 12s ago"."""
    at = entry.at if entry else to_epoch_us(ended.finishedAt)
    number = ended.signal or (entry.detail.get("signal") if entry else 0)
    if ended.reason == "OOMKilled":
        how = f"OOMKilled (exit {ended.exitCode})"
    elif isinstance(number, int) and number:
        how = f"{signal_name(number)} (exit {ended.exitCode}) {ended.reason or ''}".rstrip()
    else:
        how = f"exit {ended.exitCode} {ended.reason or ''}".rstrip()
    return joined(how, ago(at, now))


def end_entry(entries: Sequence[Entry], container: str, container_id: str = "") -> Entry | None:
    """The end of one attempt at a container, by default of its last one."""
    for entry in reversed(entries):
        of_it = entry.step is Step.EXIT and entry.container == container
        if of_it and (not container_id or entry.detail.get("id") == container_id.rpartition("//")[2]):
            return entry
    return None


def last_words(ended: core_v1.ContainerStateTerminated | None, entry: Entry | None) -> str:
    """`: "panic: no such table"` from the termination message or else the log; "" when there is neither."""
    message = (ended.message or "") if ended else ""
    texts = message.splitlines() if message.strip() else entry.log if entry else ()
    spoken = [text.strip() for text in texts if text.strip()]
    return f': "{printable(spoken[-1], MAX_QUOTE)}"' if spoken else ""


def the_cause(
    ended: core_v1.ContainerStateTerminated | None,
    entries: Sequence[Entry],
    container: str,
    entry: Entry | None,
) -> str:
    """What to say after an end, beginning with ": ": why minipod ended it, or else its last words; "" for neither."""
    killed = killed_for(entries, container, entry) if entry is not None else ""
    return (
        f': killed after "{printable(killed.rstrip(": "), MAX_QUOTE)}"'
        if killed
        else last_words(ended, entry)
    )


def killed_for(entries: Sequence[Entry], container: str, end: Entry) -> str:
    """The failed probe or hook for which minipod ended this attempt; "" when it did not, or for something else."""
    cause, found = "", ""
    for entry in entries:
        if entry.container != container:
            continue
        if entry is end:
            return found
        if entry.step in (Step.START, Step.EXIT):
            cause = found = ""
        elif entry.step in (Step.PROBE, Step.HOOK) and entry.failed:
            cause = entry.message
        elif entry.step is Step.KILL:
            found = cause
    return ""
