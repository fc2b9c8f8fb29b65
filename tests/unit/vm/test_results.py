"""The sum of JUnit files is what a run ends with: nothing that failed or is missing may look like success."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm import results

PASSED = '<testsuites><testsuite tests="5" failures="0" errors="0" skipped="2" time="1.5"/></testsuites>'
FAILED = '<testsuites><testsuite tests="3" failures="1" errors="1" skipped="0" time="2"/></testsuites>'


@pytest.fixture
def passed(tmp_path: Path) -> Path:
    file = tmp_path / "host.xml"
    file.write_text(PASSED)
    return file


def test_all_that_passed_is_one_line(passed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert results.main([str(passed), str(passed)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "===== 6 passed, 4 skipped in 3.00s ====="


def test_a_failure_is_one_of_all(passed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "first.xml"
    bad.write_text(FAILED)
    assert results.main([str(passed), str(bad)]) == 1
    assert "2 failed, 4 passed, 2 skipped" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("text", [None, PASSED[:40]], ids=["missing", "cut off"])
def test_a_file_without_results_is_a_failure(passed: Path, tmp_path: Path, text: str | None) -> None:
    other = tmp_path / "reboot.xml"
    if text is not None:
        other.write_text(text)
    assert results.main([str(passed), str(other)]) == 1
