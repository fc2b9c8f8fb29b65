"""Durations, targets, discovery, files: what the verbs are put together from."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from minipod.api.documents import DocumentError
from minipod.cli.discovery import ApiResource, Discovery
from minipod.cli.durations import human_duration, parse_duration
from minipod.cli.errors import CommandError
from minipod.cli.files import read_objects
from minipod.cli.selection import parse_targets

PODS = ApiResource("v1", "Pod", "pods", "pod", True, ("po",), ("all",))
NODES = ApiResource("v1", "Node", "nodes", "node", False, ("no",))
DEPLOYMENTS = ApiResource("apps/v1", "Deployment", "deployments", "deployment", True, ("deploy",), ("all",))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20s", 20),
        ("1h30m", 5400),
        ("1.5m", 90),
        ("500ms", 0.5),
        ("-1s", -1),
        ("0", 0),
        ("7", 7),
        (".5s", 0.5),
    ],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert parse_duration(text, "--timeout") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5x", "1h 3m", "1h3", "--5s", "five"])
def test_what_is_no_duration_is_told_with_its_flag(text: str) -> None:
    with pytest.raises(CommandError, match="--timeout"):
        parse_duration(text, "--timeout")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (11100, "3h5m"),
        (28800, "8h"),
        (172799, "47h"),
        (172800, "2d"),
        (176400, "2d1h"),
        (691200, "8d"),
        (63072000, "2y"),
        (66528000, "2y40d"),
        (252288000, "8y"),
    ],
)
def test_ages_are_kubectls(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def find(word: str) -> list[ApiResource]:
    return [r for r in (PODS, NODES, DEPLOYMENTS) if word in r.words or word in r.categories]


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        (["pods"], [(PODS, ())]),
        (["po", "a", "b", "a"], [(PODS, ("a", "b"))]),
        (["pods,nodes"], [(PODS, ()), (NODES, ())]),
        (["all"], [(PODS, ()), (DEPLOYMENTS, ())]),
        (["pod/a"], [(PODS, ("a",))]),
        (["pod/a", "po/b", "node/c"], [(PODS, ("a", "b")), (NODES, ("c",))]),
        (["deployments.apps/x"], [(DEPLOYMENTS, ("x",))]),
    ],
)
def test_targets(words: list[str], targets: list[tuple[ApiResource, tuple[str, ...]]]) -> None:
    assert [(t.resource, t.names) for t in parse_targets(words, find)] == targets


@pytest.mark.parametrize(
    "words", [[], ["pod/a", "b"], ["pod", "pod/a"], ["pod/"], ["/a"], ["pod/a/b"], ["all/x"]]
)
def test_targets_that_are_none(words: list[str]) -> None:
    with pytest.raises(CommandError):
        parse_targets(words, find)


def test_without_a_type_the_default_one_is_meant() -> None:
    assert parse_targets(["web"], find, default="pods")[0].resource == PODS


class NotFoundError(Exception):
    reason = "NotFound"


class FakeApi:
    """The discovery documents of a server with a core group and one more."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get(self, path: str) -> Any:
        self.asked.append(path)
        pods = {
            "name": "pods",
            "singularName": "pod",
            "namespaced": True,
            "kind": "Pod",
            "shortNames": ["po"],
        }
        log = {"name": "pods/log", "singularName": "", "namespaced": True, "kind": "Pod"}
        deployments = {"name": "deployments", "namespaced": True, "kind": "Deployment"}
        answers: dict[str, Any] = {
            "/api/v1": {"resources": [pods, log]},
            "/apis": {"groups": [{"preferredVersion": {"groupVersion": "apps/v1"}}]},
            "/apis/apps/v1": {"resources": [deployments]},
        }
        if path not in answers:
            raise NotFoundError
        return answers[path]


def discovery() -> tuple[Discovery, FakeApi]:
    api = FakeApi()
    return Discovery(api), api  # type: ignore[arg-type]


def test_a_core_resource_costs_one_question() -> None:
    found, api = discovery()
    assert found.find("po").plural == "pods"
    assert found.find_all("pods")[0].path("here", "web", "log") == "/api/v1/namespaces/here/pods/web/log"
    assert api.asked == ["/api/v1"]


def test_other_groups_are_asked_when_the_core_does_not_know() -> None:
    found, _ = discovery()
    resource = found.find("deployments.apps")
    assert resource.path("here") == "/apis/apps/v1/namespaces/here/deployments"
    assert resource.label("x") == "deployment.apps/x"


def test_an_unknown_type_is_told_with_what_may_have_been_meant() -> None:
    found, _ = discovery()
    with pytest.raises(
        CommandError, match=r'doesn\'t have a resource type "podss" \(did you mean "pods"\?\)'
    ):
        found.find("podss")


@pytest.mark.parametrize(
    ("version", "kind", "hint"),
    [
        ("v1", "Podd", 'did you mean "Pod"'),
        ("app/v1", "Deployment", 'did you mean "apps/v1"'),
        ("v1", "Qqq", ""),
    ],
)
def test_an_unknown_kind_too(version: str, kind: str, hint: str) -> None:
    found, _ = discovery()
    with pytest.raises(CommandError) as raised:
        found.by_kind(version, kind)
    assert f'no matches for kind "{kind}" in version "{version}"' in str(raised.value)
    assert hint in str(raised.value)


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\n"


def names(documents: list[Any]) -> list[str]:
    return [d.value["metadata"]["name"] for d in documents]


def test_files_directories_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.yaml").write_text(POD % "b1" + "---\n" + POD % "b2")
    (tmp_path / "a.yml").write_text(POD % "a")
    (tmp_path / "notes.txt").write_text("no: manifest")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.json").write_text('{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c"}}')
    stdin = io.TextIOWrapper(io.BytesIO((POD % "in").encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert names(read_objects([str(tmp_path), "-"])) == ["a", "b1", "b2", "in"]
    assert names(read_objects([str(tmp_path)], recursive=True)) == ["a", "b1", "b2", "c"]
    assert names(read_objects([str(tmp_path / "deep" / "c.json")])) == ["c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Pod\n", "apiVersion is not set"),
        ("apiVersion: v1\nkind: [x]\n", "kind must be a string"),
        ("apiVersion: v1\nkind: Pod\nmetadata: x\n", "metadata must be an object"),
        ("", "no objects passed"),
    ],
)
def test_files_without_an_object(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(text)
    with pytest.raises((CommandError, DocumentError), match=message):
        read_objects([str(file)])


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DocumentError, match=r"binary\.yaml: byte 0 is not UTF-8"):
        read_objects([str(tmp_path)])
    with pytest.raises(CommandError, match="does not exist"):
        read_objects([str(tmp_path / "nope")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="holds no"):
        read_objects([str(tmp_path / "empty")])
    with pytest.raises(CommandError, match="download"):
        read_objects(["https://example.com/x.yaml"])
