"""These tests run only inside the virtual machine that run.py boots; a phase is one life of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PHASE = os.environ.get("MINIPOD_VM_PHASE", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.vm)
            if not PHASE:
                item.add_marker(
                    pytest.mark.skip(reason="runs in the virtual machine: sudo ./scripts/test-vm.sh")
                )
