"""Each test is a node in a network namespace of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from minipod.network.pod_network import NetworkConfig, PodNetwork
from tests.kernel.network.machine import Machine, connect_world, fresh_netns

MachineMaker = Callable[[str], Machine]
NetworkMaker = Callable[..., PodNetwork]


@pytest.fixture
def node(word: str) -> Iterator[None]:
    """The test runs in a fresh network namespace; what it left outside is found afterwards by its word."""
    with fresh_netns():
        yield


@pytest.fixture
def pod(node: None) -> Iterator[MachineMaker]:
    """Makes network namespaces for pods to be."""
    with contextlib.ExitStack() as stack:

        def make(name: str) -> Machine:
            machine = Machine(name)
            stack.callback(machine.end)
            return machine

        yield make


@pytest.fixture
def world(pod: MachineMaker) -> Machine:
    """A machine outside, at the other end of the node's default route. It answers on port 7000."""
    machine = pod("world")
    connect_world(machine)
    machine.serve(7000)
    return machine


@pytest.fixture
def config(word: str, tmp_path: Path) -> NetworkConfig:
    return NetworkConfig(bridge=word, pod_cidr="10.9.0.0/24", nft_table=word, state_dir=tmp_path / "network")


@pytest.fixture
async def networks(node: None) -> AsyncIterator[NetworkMaker]:
    """Makes pod networks, not started; all are destroyed afterwards."""
    made: list[PodNetwork] = []

    def make(config: NetworkConfig) -> PodNetwork:
        made.append(PodNetwork(config))
        return made[-1]

    yield make
    for network in reversed(made):
        await network.destroy()
        await network.stop()


@pytest.fixture
async def network(networks: NetworkMaker, config: NetworkConfig) -> PodNetwork:
    """A started pod network."""
    made = networks(config)
    await made.start()
    return made
