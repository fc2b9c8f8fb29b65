"""The daemon's log lines: readable as text, parseable as JSON, with the pod in a field of its own."""

from __future__ import annotations

import json
import logging
import sys

from minipod.logging_setup import JournalFormatter, JsonFormatter, TextFormatter


def record(message: str, **fields: str) -> logging.LogRecord:
    made = logging.LogRecord("minipod.kubelet.events", logging.WARNING, "f.py", 1, message, None, None)
    made.__dict__.update(fields)
    return made


def test_json_carries_the_fields_that_are_set() -> None:
    entry = json.loads(
        JsonFormatter().format(record("Back-off", pod="default/web", container="", reason="BackOff"))
    )
    assert entry["level"] == "warning"
    assert (entry["pod"], entry["reason"], entry["message"]) == ("default/web", "BackOff", "Back-off")
    assert "container" not in entry


def test_json_keeps_an_exception_on_the_one_line() -> None:
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert "ValueError" in json.loads(line)["exception"]


def test_text_names_logger_and_pod() -> None:
    line = TextFormatter().format(record("Back-off", pod="default/web"))
    assert "WARNING kubelet.events pod=default/web: Back-off" in line


def test_the_journal_gets_a_priority_on_every_line() -> None:
    lines = JournalFormatter().format(record("one\ntwo")).split("\n")
    assert lines == ["<4>kubelet.events: one", "<4>two"]
