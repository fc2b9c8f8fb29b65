"""The kernel tests of limits, which a hybrid host has to skip: here every controller is there, so none is skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.node, pytest.mark.timeout(560)]

ROOT = Path(__file__).parent.parent.parent

FILES = (
    "tests/kernel/runtime/test_limits.py",
    "tests/kernel/runtime/test_update.py",
    "tests/kernel/kubelet/test_resize.py",
)
LACKING_HERE = "this host has the cpu controller"
"""The one test that is about a host without controllers."""


def test_the_kernel_tests_of_limits_pass_on_a_unified_host() -> None:
    """In a mount namespace with a /tmp of its own: overlayfs takes no directory of another overlay as upper layer."""
    pytest_ = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", *FILES]
    script = 'mount -t tmpfs tmpfs /tmp && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *pytest_],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    print(done.stdout)
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert [line for line in skipped if LACKING_HERE not in line] == []
