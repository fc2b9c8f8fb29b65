"""`minipod image`: what can be said of a file before and after it is sent. The store behind it plays one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.api import errors
from minipod.api.scheme import NODES
from minipod.cli.main import run
from minipod.client.node import ProxyRequest, ProxyResponse
from tests.unit.apiserver.objects import node
from tests.unit.apiserver.serving import ServerThread

REFUSAL = "cannot import the image archive: not a tar archive"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerThread]:
    """Its node refuses every archive."""

    async def proxy(request: ProxyRequest) -> ProxyResponse:
        running.node.requests.append(request)
        raise errors.bad_request(REFUSAL)

    with ServerThread(tmp_path) as running:
        monkeypatch.setattr(running.node, "proxy", proxy)
        running.call(running.local.create(NODES, node()))
        monkeypatch.setenv("MINIPOD_SOCKET", str(running.socket))
        yield running


@pytest.mark.parametrize("words", [("import", "{}"), ("build-rootfs", "{}", "foo")])
def test_a_refusal_names_the_file(
    words: tuple[str, ...], server: ServerThread, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.tar"
    file.write_text("not an archive")
    assert run(["image", *(word.format(file) for word in words)]) == 1
    assert capfd.readouterr().err == f"Error from server (BadRequest): {file}: {REFUSAL}\n"
    assert len(server.node.requests) == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("import", "{}"), "error: {} is empty: expected an archive"),
        (("build-rootfs", "{}", "foo"), "error: {} is empty: expected an archive"),
        (
            ("build-rootfs", "{}", "Foo Bar"),
            'error: couldn\'t parse image name "Foo Bar": invalid reference format: repository name '
            "(library/Foo Bar) must be lowercase",
        ),
        (
            ("import", "{}", "--name=a b"),
            'error: couldn\'t parse image name "a b": invalid reference format',
        ),
    ],
)
def test_what_cannot_become_an_image_is_not_sent(
    words: tuple[str, ...],
    problem: str,
    server: ServerThread,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "empty.tar"
    file.touch()
    assert run(["image", *(word.format(file) for word in words)]) == 1
    assert capfd.readouterr().err == problem.format(file) + "\n"
    assert server.node.requests == []


def test_prune_names_what_it_deleted(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = []

    async def proxy(request: ProxyRequest) -> ProxyResponse:
        asked.append((request.method, request.path.strip("/"), dict(request.query)))
        rows = [
            {"id": "sha256:1", "names": ["a:1", "b:1"], "size": 1 << 20},
            {"id": "sha256:2", "names": [], "size": 0},
        ]
        return ProxyResponse(
            status=200, body=json.dumps({"deleted": rows}).encode(), content_type="application/json"
        )

    monkeypatch.setattr(server.node, "proxy", proxy)
    assert run(["image", "prune", "-a"]) == 0
    printed = capfd.readouterr().out.splitlines()
    assert printed[:2] == ["deleted a:1 b:1 sha256:1", "deleted <none> sha256:2"]
    assert printed[2].startswith("freed up to 1")
    assert run(["image", "prune"]) == 0
    assert asked == [("POST", "images/prune", {"all": "true"}), ("POST", "images/prune", {})]
