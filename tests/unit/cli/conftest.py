"""Whole command lines against a real API server in a thread."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from minipod.cli.main import run
from tests.unit.apiserver.serving import ServerThread


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    with ServerThread(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def cli(server: ServerThread, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("MINIPOD_SOCKET", str(server.socket))

    def call(*args: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = run(list(args))
        sys.stdout.flush()
        told = capfd.readouterr()
        return Done(code, told.out, told.err)

    return call
