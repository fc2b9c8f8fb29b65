"""A store in a temporary directory, opened and closed with the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from minipod.api.scheme import RESOURCES
from minipod.storage.store import Store


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "state.db", RESOURCES)
    await store.start()
    yield store
    await store.close()
