"""A registry on a store in a temporary directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from minipod.api.scheme import RESOURCES
from minipod.apiserver.inprocess import LocalRequests
from minipod.apiserver.registry.registry import Registry
from minipod.client.http import ApiClient
from minipod.client.inprocess import InProcessClient
from minipod.storage.store import Store
from tests.unit.apiserver.serving import ServerThread


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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerThread]:
    with ServerThread(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    """For tests that leave nothing behind."""
    with ServerThread(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def api(server: ServerThread) -> Iterator[ApiClient]:
    with server.client() as client:
        yield client
