"""A registry to be a client of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from minipod.api.scheme import RESOURCES
from minipod.apiserver.inprocess import LocalRequests
from minipod.apiserver.registry.registry import Registry
from minipod.client.inprocess import InProcessClient
from minipod.storage.store import Store


@pytest_asyncio.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    store = Store(tmp_path / "state.db", RESOURCES)
    await store.start()
    registry = Registry(store)
    await registry.start()
    yield registry
    await registry.stop()
    await store.close()


@pytest.fixture
def client(registry: Registry) -> InProcessClient:
    return InProcessClient(LocalRequests(registry))
