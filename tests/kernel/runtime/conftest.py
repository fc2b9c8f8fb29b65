from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kernel.runtime.world import World, running


@pytest.fixture
async def world(workdir: Path, word: str) -> AsyncIterator[World]:
    """A running runtime service whose sandboxes are removed at the end; nothing may be left then."""
    async with running(workdir, word) as found:
        yield found
