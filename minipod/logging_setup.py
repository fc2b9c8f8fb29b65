"""The daemon's own log: one line an entry on standard error, as text or JSON, with the fields that name the pod.

Under systemd each line begins with `<N>`, the priority journald reads from it (sd-daemon(3)). With the format
"journal" entries go to journald itself, and what they are about is in fields: `journalctl POD_NAME=web`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import time

from minipod.linux.sd_journal import Journal

FIELDS = ("pod", "uid", "container", "reason", "node")

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
"""What a line must not hold: containers say what stands in messages, and could write lines of their own with it."""

PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, the fields that are set, exception."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update((name, getattr(record, name)) for name in FIELDS if getattr(record, name, ""))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _printable(json.dumps(entry, ensure_ascii=False), r"\u{:04x}")


class TextFormatter(logging.Formatter):
    """`2026-11-24T10:00:00.123Z INFO  kubelet.events pod=default/web reason=Started: Started container web`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={getattr(record, name)}" for name in FIELDS if getattr(record, name, ""))
        name = record.name.removeprefix("minipod.")
        said = _printable(record.getMessage(), r"\x{:02x}")
        line = f"{_timestamp(record.created)} {record.levelname:<7} {name}{fields}: {said}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            line += "".join("\n" + _printable(part, r"\x{:02x}") for part in trace)
        return line


class JournalFormatter(TextFormatter):
    """The text without time and level, which the journal keeps itself."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record).split(maxsplit=2)[2]
        prefix = f"<{PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + part for part in line.split("\n"))


class JournalHandler(logging.Handler):
    """Entries with fields for the journal. What it cannot take goes to `otherwise`; when it is slow, nowhere."""

    def __init__(self, journal: Journal, otherwise: logging.Handler) -> None:
        super().__init__()
        self._journal = journal
        self._otherwise = otherwise

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._journal.send(journal_fields(record))
        except BlockingIOError:
            pass  # nobody is to wait for a log
        except OSError:
            self._otherwise.handle(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        self._journal.close()
        super().close()


def journal_fields(record: logging.LogRecord) -> list[tuple[str, bytes]]:
    """One entry of the journal (systemd.journal-fields(7)); fields that say nothing are left out."""
    text = record.getMessage()
    if record.exc_info:
        text += "\n" + logging.Formatter().formatException(record.exc_info)
    namespace, _, name = getattr(record, "pod", "").rpartition("/")
    fields = {
        "MESSAGE": text,
        "PRIORITY": str(PRIORITIES.get(record.levelno, 6)),
        "SYSLOG_IDENTIFIER": "minipod",
        "LOGGER": record.name,
        "POD_NAME": name,
        "POD_NAMESPACE": namespace,
        "POD_UID": getattr(record, "uid", ""),
        "CONTAINER_NAME": getattr(record, "container", ""),
        "REASON": getattr(record, "reason", ""),
        "NODE_NAME": getattr(record, "node", ""),
    }
    return [(key, str(value).encode(errors="replace")) for key, value in fields.items() if value]


def set_up_logging(log_format: str, level: str) -> None:
    """Log everything from `level` up. `log_format`: text or json, for standard error, or journal."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
    elif "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(JournalFormatter())
    else:
        handler.setFormatter(TextFormatter())
    if log_format == "journal":
        with contextlib.suppress(OSError):  # no journald here
            handler = JournalHandler(Journal(), handler)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("asyncio", "aiohttp.access", "pyroute2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(_in_one_line)


def _in_one_line(record: logging.LogRecord) -> bool:
    """Bytes that are no HTTP are the sender's mistake, not ours: aiohttp's traceback of its parser says nothing."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]!r:.200}", ()
        record.exc_info = None
    return True


def _printable(text: str, escape: str) -> str:
    return _CONTROL.sub(lambda found: escape.format(ord(found[0])), text)


def _timestamp(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
