"""The same command lines given to kubectl and to minipod, at the same server: the same text and exit code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.cli.main import run
from tests.unit.apiserver.serving import ServerThread
from tests.unit.cli.samples import objects

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")

CHOSEN_BY_SERVER = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
)
ADMITTED_ELSEWHERE = ("priority", "priorityClassName", "runtimeClassName")

AGE = re.compile(r"\b\d+s\b")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    """A server with the sample pods."""
    with ServerThread(tmp_path_factory.mktemp("api")) as running, running.client() as api:
        for name in ("rich", "bare", "ended"):
            [pod] = objects(f"pod-{name}")
            pod["metadata"] = {k: v for k, v in pod["metadata"].items() if k not in CHOSEN_BY_SERVER}
            pod["spec"] = {k: v for k, v in pod["spec"].items() if k not in ADMITTED_ELSEWHERE}
            for container in pod["spec"]["containers"]:
                container.pop("lifecycle", None)  # kubectl does not describe hooks, we do
            api.create("/api/v1/namespaces/default/pods", pod)
        yield running


@pytest.mark.parametrize(
    "line",
    [
        "get pods -A -o wide --show-labels -L app,tier",
        "get pods,ns",
        "get pod nope rich",
        "get xyz",
        "get pod rich -o yaml",
        "get pods -o json",
        "get pods --sort-by={.spec.containers[0].image} -o name",
        "get pods -o custom-columns=A:.metadata.name,B:.spec.nodeSelector",
        "describe pods",
        "describe ns default",
        "delete pod nope",
        "api-resources -o name",
        "exec nope -- ls",
        "events",
    ],
)
def test_same(line: str, server: ServerThread, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = line.split()
    theirs = subprocess.run(
        [
            "kubectl",
            "--kubeconfig=/dev/null",
            f"--cache-dir={tmp_path}",
            f"-s=http://127.0.0.1:{server.port}",
            *words,
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    code = run(["--socket", str(server.socket), *words])
    sys.stdout.flush()
    ours = capfd.readouterr()
    assert (code, _ageless(ours.out), ours.err) == (
        theirs.returncode,
        _ageless(theirs.stdout),
        theirs.stderr,
    )


def _ageless(text: str) -> str:
    """The two do not look at the same second; with the age its column's width may differ."""
    return re.sub(r" +", " ", AGE.sub("AGE", text))
