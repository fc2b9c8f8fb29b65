"""Linters are tests: what ruff, mypy and shellcheck say of the whole tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_ruff_check() -> None:
    run(sys.executable, "-m", "ruff", "check", ".")


def test_ruff_format() -> None:
    run(sys.executable, "-m", "ruff", "format", "--check", ".")


@pytest.mark.timeout(600)
def test_mypy() -> None:
    run(sys.executable, "-m", "mypy")


def test_shellcheck() -> None:
    files = subprocess.run(
        ["git", "ls-files", "*.sh", ".ci/run", "scripts/*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    scripts = [f for f in files if "bash" in (ROOT / f).read_text(errors="replace").split("\n", 1)[0]]
    assert scripts
    run("shellcheck", "-x", *scripts)


def test_no_file_outgrows_a_head() -> None:
    """400 lines is the aim; 500 is where a file has to be taken apart (generated ones excepted)."""
    generated = {"minipod/api/core_v1.py", "minipod/api/meta_v1.py"}
    long = {
        str(p.relative_to(ROOT)): n
        for p in (ROOT / "minipod").rglob("*.py")
        if str(p.relative_to(ROOT)) not in generated and (n := len(p.read_text().splitlines())) > 500
    }
    assert not long
