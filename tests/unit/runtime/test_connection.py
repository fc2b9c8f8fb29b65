from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from minipod.runtime.channel import MAX_FRAME, Received, Refused
from minipod.runtime.connection import Connection
from minipod.runtime.poller import Poller


class Server:
    def __init__(self) -> None:
        self.poller = Poller(lambda error: pytest.fail(str(error)))
        self.connections: set[Connection] = set()

    def handle(self, connection: Connection, received: Received) -> None:
        raise AssertionError(received)

    def trouble(self, message: str) -> None:
        raise AssertionError(message)


@pytest.fixture
def connection() -> Iterator[Connection]:
    near, far = socket.socketpair()
    with far:
        server = Server()
        made = Connection(near, server)
        server.connections.add(made)
        yield made
        made.close()
        server.poller.close()


def test_the_largest_message_does_not_cost_the_connection(connection: Connection) -> None:
    connection.send(Refused("x", "y" * (MAX_FRAME - 200), None))
    assert connection in connection._server.connections


def test_a_peer_that_does_not_read_loses_its_connection(connection: Connection) -> None:
    for _ in range(3):
        connection.send(Refused("x", "y" * (MAX_FRAME - 200), None))
    assert connection not in connection._server.connections
