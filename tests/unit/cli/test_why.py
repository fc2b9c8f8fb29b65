"""`minipod why`: the node's page as people read it."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.cli.main import run
from minipod.cli.why import duration, render


def entry(time: str, step: str, message: str, **fields: Any) -> dict[str, Any]:
    return {"time": time, "step": step, "container": "", "message": message, "failed": False, **fields}


def page(*entries: dict[str, Any], **diagnosis: str) -> dict[str, Any]:
    return {
        "now": "2026-01-02T03:06:00.250000Z",
        "diagnosis": {"headline": "web is not Ready: it crashes", "look": "", **diagnosis},
        "entries": list(entries),
    }


CRASH = page(
    entry("2026-01-02T03:04:05.000000Z", "created", "the pod was created"),
    entry("2026-01-02T03:04:05.250000Z", "mount", "2 volumes set up", seconds=0.0009),
    entry(
        "2026-01-02T03:05:48.250000Z",
        "exit",
        "exit code 1 (Error)",
        container="app",
        seconds=12.25,
        failed=True,
        log=["opening", "panic: no such table"],
        detail={"message": "sorry"},
    ),
    entry("2026-01-02T03:05:50.250000Z", "probe", "Readiness probe failed: no", container="app", count=12),
    look="minipod logs web",
)


def test_a_life_is_told_line_by_line() -> None:
    assert render(CRASH).splitlines() == [
        "web is not Ready: it crashes -- see: minipod logs web",
        "",
        "AGO   AFTER   TOOK   STEP     CONTAINER  WHAT",
        "115s  ~0s            created             the pod was created",
        "115s  +250ms  900us  mount               2 volumes set up",
        "12s   +103s   12s    exit!    app        exit code 1 (Error)",
        "                                         | opening",
        "                                         | panic: no such table",
        "                                         | termination message: sorry",
        "10s   +2.0s          probe    app        Readiness probe failed: no (x12)",
    ]


def test_columns_without_content_are_left_out() -> None:
    made = page(entry("2026-01-02T03:04:05.000000Z", "created", "the pod was created"))
    assert render(made).splitlines()[2] == "AGO   AFTER  STEP     WHAT"


@pytest.mark.parametrize("width", [60, 72, 100])
def test_lines_fit_the_terminal(width: int) -> None:
    made = page(entry("2026-01-02T03:04:05.000000Z", "created", "word " * 60 + "x" * 300))
    folded = render(made, width=width).splitlines()[2:]
    assert max(map(len, folded)) <= width
    assert len(folded) > 5


def test_without_a_terminal_a_line_stays_one_line() -> None:
    made = page(entry("2026-01-02T03:04:05.000000Z", "created", "word " * 100 + "end"))
    assert render(made).splitlines()[-1].endswith("end")


def test_a_pod_without_a_history_has_its_first_line() -> None:
    assert render(page()) == "web is not Ready: it crashes\n"


def test_hostile_text_is_shown_not_obeyed() -> None:
    hostile = "a\x1b[2J\rb\x9bc"
    made = page(
        entry(
            "2026-01-02T03:04:05.000000Z",
            "exit",
            hostile,
            container=hostile,
            log=[hostile],
            detail={"message": hostile},
        ),
        headline=hostile,
        look=hostile,
    )
    assert not {"\x1b", "\r", "\x9b"} & set(render(made))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0, "0s"),
        (0.00085, "850us"),
        (0.0124, "12ms"),
        (0.9996, "1.0s"),
        (3.21, "3.2s"),
        (45.4, "45s"),
        (125, "2m5s"),
    ],
)
def test_durations_have_few_figures(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("message", "log", "text", "shown"),
    [
        ("one\ntwo\n", [], "exit code 1 (Error)", ["| termination message: one", "| two"]),
        ("one\ntwo", ["zero", "one", "two"], "exit code 1 (Error)", ["| zero", "| one", "| two"]),
        ("exec /x: no", [], "could not be started: exec /x: no", []),
    ],
    ids=["of several lines", "taken from the log", "already told"],
)
def test_a_termination_message_is_told_once(
    message: str, log: list[str], text: str, shown: list[str]
) -> None:
    ended = entry("2026-01-02T03:05:48.250000Z", "exit", text, log=log, detail={"message": message})
    lines = [line.strip() for line in render(page(ended)).splitlines()]
    assert lines[4:] == shown


@pytest.mark.parametrize("output", ["name", "wide", "custom-columns=A:.b"])
def test_formats_that_need_a_name_or_columns_are_refused(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["why", "web", "-o", output]) == 1
    assert f'unknown output format "{output}"; there are json|yaml|jsonpath' in capsys.readouterr().err
