"""The daemon's log lines: readable as text, parseable as JSON, with the pod in a field of its own."""

from __future__ import annotations

import json
import logging
import sys

from minipod.logging_setup import JournalFormatter, JsonFormatter, TextFormatter, journal_fields


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
    try:
        raise ValueError("bad")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    lines = JournalFormatter().format(made).split("\n")
    assert lines[0] == "<4>kubelet.events: failed"
    assert lines[1].startswith("<4>Traceback")
    assert lines[-1] == "<4>ValueError: bad"


def test_what_an_error_quotes_makes_no_colour_either() -> None:
    try:
        raise ValueError("said \x1b[2J\x9b")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    for formatter in (TextFormatter(), JournalFormatter()):
        assert all(line.isprintable() for line in formatter.format(made).split("\n"))


def test_what_a_container_says_makes_no_line_and_no_colour() -> None:
    said = record(
        "probe failed: no\n2026-01-01T00:00:00.000Z INFO daemon: all is well \x1b[2J\x00\x9b2J\u2028\u00e9\t"
    )
    lines = [made.format(said) for made in (TextFormatter(), JournalFormatter(), JsonFormatter())]
    assert all(line.isprintable() for line in (line.replace("\t", "") for line in lines))
    assert all("\u00e9" in line for line in lines)
    assert r"no\x0a2026-01-01T00:00:00.000Z INFO daemon: all is well \x1b[2J\x00\x9b2J" in lines[0]
    assert json.loads(lines[2])["message"] == said.getMessage()


def test_an_entry_of_the_journal_says_in_fields_what_it_is_about() -> None:
    fields = dict(
        journal_fields(record("Back-off", pod="default/web", uid="7", container="app", reason="BackOff"))
    )
    assert fields == {
        "MESSAGE": b"Back-off",
        "PRIORITY": b"4",
        "SYSLOG_IDENTIFIER": b"minipod",
        "LOGGER": b"minipod.kubelet.events",
        "POD_NAME": b"web",
        "POD_NAMESPACE": b"default",
        "POD_UID": b"7",
        "CONTAINER_NAME": b"app",
        "REASON": b"BackOff",
    }
