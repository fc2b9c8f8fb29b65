"""doctor on a machine with systemd and all controllers, and on groups of it that have not got them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.node

TESTS = "system.slice/minipod-vm-tests.service"
"""The group these very tests run in: systemd delegates nothing to it, and its processes are in the way."""


def checks(*options: str) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "minipod", "doctor", "-o", "json", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_all_is_there_on_a_unified_host() -> None:
    told = checks()
    for name in ("cpu", "memory", "pids", "io", "pressure", "systemd", "CAP_SYS_RESOURCE"):
        assert told[name]["status"] == "ok", told[name]
    assert told["memory"]["detail"] == "available"


def test_a_service_that_delegates_nothing_is_named() -> None:
    told = checks("--cgroup-parent", f"{TESTS}/pods")
    for name in ("cpu", "memory", "pids", "io"):
        assert told[name]["status"] == "absent"
        assert "system.slice" in told[name]["detail"]
        assert told[name]["fix"]
    assert told["delegation"]["status"] == "absent"
    assert "minipod install" in told["delegation"]["fix"]
