"""The daemon's own log: one line an entry on standard error, as text or JSON, with the fields that name the pod.

Under systemd each line begins with `<N>`, the priority journald reads from it (sd-daemon(3)).
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time

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
            line += "\n" + self.formatException(record.exc_info)
        return line


class JournalFormatter(TextFormatter):
    """The text without time and level, which the journal keeps itself."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record).split(maxsplit=2)[2]
        prefix = f"<{PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + part for part in line.split("\n"))


def set_up_logging(log_format: str, level: str) -> None:
    """Send everything from `level` up to standard error. `log_format`: text or json."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
    elif "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(JournalFormatter())
    else:
        handler.setFormatter(TextFormatter())
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
