"""The machine itself: what the other tests take for granted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.first


def test_systemd_is_the_first_process_and_cgroups_are_unified() -> None:
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    controllers = Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    assert {"cpu", "memory", "pids", "io"} <= set(controllers)


def test_no_unit_has_failed() -> None:
    shown = subprocess.run(
        ["systemctl", "list-units", "--failed", "--no-legend", "--plain"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == ""
