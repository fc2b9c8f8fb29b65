"""What is kept of a pod's life, and what it survives: torn files, full disks, restarts, hostile text, many repeats."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from minipod.api import core_v1
from minipod.kubelet.history import shelf
from minipod.kubelet.history.entries import Entry, Step, printable
from minipod.kubelet.history.journal import PodHistory
from minipod.kubelet.history.journal_file import MAX_BYTES, parse, read, worth_keeping
from minipod.kubelet.status.records import ContainerRecord, History
from minipod.runtime.types import ContainerState, ExitRecord
from tests.unit.kubelet.pods import UID, container, pod

SECOND = 1_000_000
NOW = 1_790_000_000 * SECOND


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(tmp_path: Path, clock: Clock) -> PodHistory:
    return PodHistory(tmp_path / "history", clock=clock, log_dir=tmp_path / "log")


def another(tmp_path: Path, clock: Clock, *uids: str) -> PodHistory:
    """What the next daemon has."""
    made = PodHistory(tmp_path / "history", clock=clock, log_dir=tmp_path / "log")
    made.start(uids)
    return made


def record(attempt: int = 0, *, name: str = "main", code: int = 1, **fields: Any) -> ContainerRecord:
    exit_ = ExitRecord(
        code=code,
        signal=fields.pop("signal", 0),
        started_at=NOW - 5 * SECOND,
        finished_at=NOW,
        oom_killed=fields.pop("oom", False),
    )
    return ContainerRecord(
        name=name,
        attempt=attempt,
        id=f"{name}-{attempt}",
        state=ContainerState.EXITED,
        exit=exit_,
        **fields,
    )


def entries(history: PodHistory, name: str = "web", uid: str = "") -> list[Entry]:
    history.flush()
    path = history.find("default", name, uid)
    return read(path) if path else []


def only(history: PodHistory, step: Step) -> list[Entry]:
    return [entry for entry in entries(history) if entry.step is step]


def test_a_journal_begins_with_what_was_before_the_node_knew_of_the_pod(history: PodHistory) -> None:
    made = pod(
        metadata={"creationTimestamp": "2026-01-02T03:04:05Z"},
        status={
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-02T03:04:06Z"}
            ]
        },
        nodeName="node1",
    )
    history.note(made, Step.SANDBOX, "made", began=NOW - 3000, ended=NOW)
    created, scheduled, sandbox = entries(history)
    assert (created.step, created.at) == (Step.CREATED, 1767323045 * SECOND)
    assert (scheduled.message, scheduled.at) == ("assigned to node node1", 1767323046 * SECOND)
    assert (sandbox.at, sandbox.seconds) == (NOW - 3000, 0.003)


def test_a_journal_is_nobody_elses_to_read(history: PodHistory, tmp_path: Path) -> None:
    history.note(pod(), Step.NOTE, "x")
    history.flush()
    path = tmp_path / "history" / f"default_web_{UID}.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_nothing_is_written_before_it_is_time_and_then_at_once(history: PodHistory, tmp_path: Path) -> None:
    for step in (Step.MOUNT, Step.SANDBOX, Step.NETWORK):
        history.note(pod(), step, "done")
    assert not (tmp_path / "history").exists()
    assert len(entries(history)) == 3


def test_repeats_are_counted_until_the_container_starts_anew(history: PodHistory, clock: Clock) -> None:
    for _ in range(5):
        clock.now += SECOND
        history.event(pod(), "Warning", "Unhealthy", "Readiness probe failed: no", "main")
    history.note(pod(), Step.START, "started", container="main")
    history.event(pod(), "Warning", "Unhealthy", "Readiness probe failed: no", "main")
    first, second = only(history, Step.PROBE)
    assert (first.count, first.at, first.last) == (5, NOW + SECOND, NOW + 5 * SECOND)
    assert (second.count, second.last) == (1, 0)


def test_a_probe_that_fails_for_days_does_not_fill_the_journal(
    history: PodHistory, clock: Clock, tmp_path: Path
) -> None:
    soon = 0
    history._write_soon = lambda: None  # type: ignore[method-assign]
    journal = history._journal(pod())
    assert journal is not None
    for _ in range(100):
        soon += journal.add(Step.PROBE, "failed", at=clock.now, container="main", failed=True)
    assert soon == 7, "written at 1, 2, 4, 8, 16, 32 and 64"


def test_an_end_is_kept_with_its_last_words_once(history: PodHistory, tmp_path: Path) -> None:
    log = tmp_path / "log" / f"default_web_{UID}" / "main" / "0.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"2026-01-02T03:04:05Z stderr F line {n}\n" for n in range(30)))
    known = {"main": History(record(message="said at the end"))}
    for _ in range(3):
        history.observe(pod(), core_v1.PodStatus(), core_v1.PodStatus(), known)
    (end,) = only(history, Step.EXIT)
    assert end.message == "exit code 1 (Error)"
    assert end.log == tuple(f"line {n}" for n in range(20, 30))
    assert (end.at, end.seconds, end.failed) == (NOW, 5.0, True)
    assert end.detail == {
        "id": "main-0",
        "attempt": 0,
        "exitCode": 1,
        "reason": "Error",
        "message": "said at the end",
    }


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (record(code=0), "exit code 0 (Completed)"),
        (record(code=139, signal=11), "killed by SIGSEGV, exit code 139 (Error)"),
        (
            record(code=137, signal=9, oom=True),
            "out of memory: killed by the kernel, exit code 137 (OOMKilled)",
        ),
    ],
)
def test_an_end_says_how(history: PodHistory, made: ContainerRecord, message: str) -> None:
    history.termination(pod(), made, log_tail=())
    assert only(history, Step.EXIT)[0].message == message


def test_a_later_daemon_goes_on_and_does_not_tell_twice(
    history: PodHistory, tmp_path: Path, clock: Clock
) -> None:
    history.termination(pod(), record(0), log_tail=["a"])
    history.flush()
    later = another(tmp_path, clock, UID)
    later.termination(pod(), record(0), log_tail=["b"])
    later.termination(pod(), record(1), log_tail=["c"])
    assert [end.log for end in only(later, Step.EXIT)] == [("a",), ("c",)]
    assert len({entry.id for entry in entries(later)}) == len(entries(later))


def test_a_torn_last_line_costs_that_line_only(history: PodHistory, tmp_path: Path, clock: Clock) -> None:
    history.note(pod(), Step.NOTE, "one")
    history.note(pod(), Step.NOTE, "two")
    history.flush()
    path = history.find("default", "web")
    assert path is not None
    path.write_bytes(path.read_bytes()[:-5])
    later = another(tmp_path, clock, UID)
    later.note(pod(), Step.NOTE, "three")
    assert [entry.message for entry in entries(later)] == ["one", "three"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"id":1}',
        b'{"id":"x","at":0,"step":"note","message":""}',
        b'{"id":1,"at":0,"step":"dance","message":""}',
    ],
)
def test_lines_that_are_no_entries_are_left_out(line: bytes) -> None:
    good = b'{"id":7,"at":1,"step":"note","message":"here"}'
    assert [entry.id for entry in parse(line + b"\n" + good + b"\n")] == [7]


def test_a_full_disk_disturbs_nobody_and_is_told_once(
    history: PodHistory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if b"lost 1" in data:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[: len(data) // 2])

    history.note(pod(), Step.NOTE, "before")
    history.flush()
    monkeypatch.setattr("minipod.kubelet.history.journal_file.os.write", full)
    for n in range(3):
        history.note(pod(), Step.NOTE, f"lost {n}")
        history.flush()
    monkeypatch.setattr("minipod.kubelet.history.journal_file.os.write", real)
    history.note(pod(), Step.NOTE, "after")
    assert [entry.message for entry in entries(history)] == ["before", "after"]
    assert len(caplog.records) == 1


def test_a_journal_that_cannot_be_made_disturbs_nobody(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "history").write_text("a file")
    history = another(tmp_path, clock)
    history.note(pod(), Step.NOTE, "x")
    history.deleted(pod())


def test_a_journal_keeps_its_bound_and_the_ends_of_every_container(
    history: PodHistory, tmp_path: Path, clock: Clock
) -> None:
    made = pod(container("a"), container("b"))
    history.termination(made, record(0, name="b"), log_tail=["b's only end"])
    for n in range(3000):
        clock.now += SECOND
        history.note(made, Step.NOTE, f"{n} {'x' * 200}")
        if n % 50 == 0:
            history.termination(made, record(n, name="a"), log_tail=[f"end {n}"])
            history.flush()
    history.flush()
    path = history.find("default", "web")
    assert path is not None
    assert path.stat().st_size <= MAX_BYTES
    ends = [entry for entry in read(path) if entry.step is Step.EXIT]
    assert [end.log for end in ends if end.container == "b"] == [("b's only end",)]
    assert len([end for end in ends if end.container == "a"]) >= 10
    assert read(path)[-1].message.startswith("2999 ")
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_of_too_much_every_containers_last_end_is_kept_first() -> None:
    made = [
        Entry(id=n, at=n, step=Step.EXIT, message="m" * 500, container="ab"[n % 2], detail={"id": str(n)})
        for n in range(20)
    ]
    kept = worth_keeping(made, terminations=10, limit=2000, ends_limit=1800)
    assert [entry.id for entry in kept] == [17, 18, 19]


def test_when_it_is_written_anew_only_the_last_ends_are_kept() -> None:
    made = [
        Entry(id=n, at=n, step=Step.EXIT, message="m", container="a", detail={"id": str(n)})
        for n in range(20)
    ]
    assert [entry.id for entry in worth_keeping(made, terminations=3)] == [17, 18, 19]


def test_hostile_text_does_nothing_to_a_terminal(history: PodHistory) -> None:
    hostile = "a\x1b[2Jb\r\n\u202ec\x00\ud800"
    history.note(pod(), Step.NOTE, hostile, detail={"x": hostile})
    history.termination(pod(), record(message=hostile), log_tail=[hostile])
    for entry in entries(history):
        for text in (entry.message, *entry.log, *map(str, entry.detail.values())):
            assert all(line.isprintable() for line in text.splitlines())
    path = history.find("default", "web")
    assert path is not None
    assert path.read_text().count("\n") == 2
    json.loads(path.read_text().splitlines()[0])


def test_text_is_bounded() -> None:
    assert len(printable("\x1b" * 10_000_000, 100)) == 100
    assert printable("fine é 漢", 100) == "fine é 漢"


@pytest.mark.parametrize(
    ("namespace", "name", "uid"),
    [("default", "../../etc/passwd", UID), ("..", "web", UID), ("default", "web", "../x"), ("", "", "")],
)
def test_names_that_are_no_names_make_no_file(
    history: PodHistory, tmp_path: Path, namespace: str, name: str, uid: str
) -> None:
    made = pod(name=name, metadata={"namespace": namespace, "uid": uid})
    history.note(made, Step.NOTE, "x")
    history.flush()
    assert not list(tmp_path.rglob("*"))


def test_a_name_too_long_for_a_file_is_still_found(history: PodHistory) -> None:
    long, other = "a" * 250 + "b", "a" * 250 + "c"
    history.note(pod(name=long), Step.NOTE, "x")
    assert entries(history, long)
    assert not entries(history, other)


def test_the_newest_pod_of_a_name_is_found_unless_another_is_asked_for(
    history: PodHistory, tmp_path: Path, clock: Clock
) -> None:
    for uid in ("one", "two"):
        made = pod(metadata={"uid": uid})
        history.note(made, Step.NOTE, uid)
        history.deleted(made)
    for one in (history, another(tmp_path, clock)):
        assert entries(one)[0].message == "two"
        assert entries(one, uid="one")[0].message == "one"
        assert not entries(one, uid="three")


def test_journals_of_deleted_pods_stay_until_there_are_too_many(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "MAX_DELETED", 3)
    history = another(tmp_path, clock)
    history.note(pod(name="alive", metadata={"uid": "alive"}), Step.NOTE, "x")
    for n in range(5):
        made = pod(name=f"pod{n}", metadata={"uid": f"uid{n}"})
        history.note(made, Step.NOTE, "x")
        history.deleted(made)
    assert [bool(entries(history, f"pod{n}")) for n in range(5)] == [False, False, True, True, True]
    assert entries(history, "alive")
    later = another(tmp_path, clock, "alive")
    assert [bool(entries(later, f"pod{n}")) for n in range(5)] == [False, False, True, True, True]


def test_journals_of_deleted_pods_are_bounded_in_bytes_too(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "MAX_DELETED_BYTES", 3000)
    history = another(tmp_path, clock)
    for n in range(5):
        made = pod(name=f"pod{n}", metadata={"uid": f"uid{n}"})
        history.note(made, Step.NOTE, "x" * 1200)
        history.deleted(made)
    assert len(list((tmp_path / "history").iterdir())) == 2


def test_nothing_is_added_once_a_pod_is_gone(history: PodHistory) -> None:
    history.note(pod(), Step.NOTE, "x")
    history.deleted(pod())
    history.event(pod(), "Normal", "Killing", "late", "main")
    assert [entry.step for entry in entries(history)] == [Step.NOTE, Step.DELETED]


def test_a_hook_has_a_duration_where_it_ends(history: PodHistory, clock: Clock) -> None:
    history.event(pod(), "Normal", "PostStartHookStarted", "Started PostStart hook", "main")
    clock.now += 2 * SECOND
    history.note(pod(), Step.NOTE, "meanwhile")
    clock.now += SECOND
    history.event(pod(), "Normal", "PostStartHookCompleted", "PostStart hook succeeded", "main")
    history.event(pod(), "Warning", "FailedPreStopHook", "of which nobody saw the start", "main")
    told = [(entry.message, entry.seconds) for entry in entries(history)]
    assert told == [
        ("Started PostStart hook", None),
        ("meanwhile", None),
        ("PostStart hook succeeded", 3.0),
        ("of which nobody saw the start", None),
    ]


def test_a_deletion_is_noted_once_before_what_it_causes(
    history: PodHistory, tmp_path: Path, clock: Clock
) -> None:
    history.note(pod(), Step.NOTE, "x")
    leaving = pod(metadata={"deletionTimestamp": "2026-01-02T03:04:05Z", "deletionGracePeriodSeconds": 30})
    history.event(leaving, "Normal", "Killing", "Stopping container main", "main")
    history.flush()
    later = another(tmp_path, clock, UID)
    later.event(leaving, "Normal", "Killing", "Stopping container other", "other")
    assert [entry.step for entry in entries(later)] == [Step.NOTE, Step.DELETE, Step.KILL, Step.KILL]
    assert only(later, Step.DELETE)[0].message == "deletion was asked for, grace period 30s"


def test_what_becomes_ready_is_noted_when_it_does(history: PodHistory) -> None:
    made = pod(container("main", readinessProbe={"tcpSocket": {"port": 80}}))

    def status(*, ready: bool) -> core_v1.PodStatus:
        running = core_v1.ContainerState(running=core_v1.ContainerStateRunning())
        return core_v1.PodStatus(
            phase="Running",
            conditions=[core_v1.PodCondition(type="Ready", status=str(ready))],
            containerStatuses=[
                core_v1.ContainerStatus(name="main", image="", imageID="", ready=ready, state=running)
            ],
        )

    no, yes = status(ready=False), status(ready=True)
    for before, after in ((core_v1.PodStatus(), no), (no, no), (no, yes), (yes, yes), (yes, no)):
        history.observe(made, before, after, {})
    assert [(e.step, e.message) for e in entries(history)] == [
        (Step.READY, "the pod is Ready"),
        (Step.READY, "the pod is no longer Ready"),
    ]


def test_events_of_what_is_noted_with_its_duration_are_not_told_twice(history: PodHistory) -> None:
    history.event(pod(), "Normal", "Created", "Created container: main", "main")
    history.event(pod(), "Normal", "Started", "Started container main", "main")
    assert entries(history) == []


@pytest.mark.parametrize(
    ("type_", "reason", "step"),
    [
        ("Normal", "Pulled", Step.IMAGE),
        ("Warning", "Unhealthy", Step.PROBE),
        ("Warning", "FailedPostStartHook", Step.HOOK),
        ("Warning", "FailedMount", Step.MOUNT),
        ("Warning", "SomethingNew", Step.PROBLEM),
        ("Normal", "SomethingNew", Step.NOTE),
    ],
)
def test_events_are_steps(history: PodHistory, type_: str, reason: str, step: Step) -> None:
    history.event(pod(), type_, reason, "text", "main")
    (entry,) = entries(history)
    assert (entry.step, entry.container, entry.failed) == (step, "main", type_ == "Warning")
