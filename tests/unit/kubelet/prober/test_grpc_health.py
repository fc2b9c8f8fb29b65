"""grpc against a real HTTP/2 health server, and against peers that are none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.api import core_v1
from minipod.kubelet.prober import grpc_health
from minipod.kubelet.prober.handlers import HandlerResult, Outcome, run_handler
from tests.unit.kubelet.prober.peers import Talk, closed_port, deaf_port, page, serving, silent, target

pytestmark = pytest.mark.usefixtures("no_leaks")

Headers = Sequence[tuple[str, str]]
OK: Headers = [("grpc-status", "0")]
RESPONSE: Headers = [(":status", "200"), ("content-type", "application/grpc")]


async def check(port: int, service: str | None = None, *, within: float = 5) -> HandlerResult:
    handler = core_v1.Probe(grpc=core_v1.GRPCAction(port=port, service=service))
    return await run_handler(handler, target(), None, timeout=within)  # type: ignore[arg-type]


def message(body: bytes) -> bytes:
    return b"\0" + len(body).to_bytes(4, "big") + body


class HealthServer:
    """Answers each call by `answer(connection, stream, service)`; `asked` are the requests' headers and bodies."""

    def __init__(self, answer: Callable[[h2.connection.H2Connection, int, bytes], None]) -> None:
        self.answer = answer
        self.asked: list[tuple[dict[str, str], bytes]] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        headers: dict[str, str] = {}
        body = b""
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers = {str(k): str(v) for k, v in event.headers}
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                elif isinstance(event, h2.events.StreamEnded):
                    self.asked.append((headers, body))
                    self.answer(connection, event.stream_id, body)
            writer.write(connection.data_to_send())
            await writer.drain()


def serving_status(status: int, trailers: Headers = OK) -> HealthServer:
    def answer(connection: h2.connection.H2Connection, stream: int, _: bytes) -> None:
        connection.send_headers(stream, RESPONSE)
        connection.send_data(stream, message(bytes((8, status)) if status else b""))
        connection.send_headers(stream, trailers, end_stream=True)

    return HealthServer(answer)


def refusing(*trailers: tuple[str, str]) -> HealthServer:
    def answer(connection: h2.connection.H2Connection, stream: int, _: bytes) -> None:
        connection.send_headers(stream, [*RESPONSE, *trailers], end_stream=True)

    return HealthServer(answer)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (0, HandlerResult(Outcome.FAILURE, 'service unhealthy (responded with "UNKNOWN")')),
        (1, HandlerResult(Outcome.SUCCESS, "service healthy")),
        (2, HandlerResult(Outcome.FAILURE, 'service unhealthy (responded with "NOT_SERVING")')),
        (3, HandlerResult(Outcome.FAILURE, 'service unhealthy (responded with "SERVICE_UNKNOWN")')),
        (9, HandlerResult(Outcome.FAILURE, 'service unhealthy (responded with "9")')),
    ],
)
async def test_statuses(status: int, result: HandlerResult) -> None:
    async with serving(serving_status(status).talk) as port:
        assert await check(port) == result


async def test_the_call_is_what_grpc_wants() -> None:
    server = serving_status(1)
    async with serving(server.talk) as port:
        await check(port, "my.Service")
        await check(port, "ü" * 100)
    headers, body = server.asked[0]
    assert headers == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Check",
        ":authority": f"127.0.0.1:{port}",
        "content-type": "application/grpc",
        "user-agent": "kube-probe/1.37",
        "te": "trailers",
    }
    assert body == message(b"\x0a\x0amy.Service")
    assert server.asked[1][1] == message(b"\x0a\xc8\x01" + "ü".encode() * 100)


@pytest.mark.parametrize(
    ("trailers", "output"),
    [
        (
            [("grpc-status", "12"), ("grpc-message", "unknown service grpc.health.v1.Health")],
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
            "unknown service grpc.health.v1.Health",
        ),
        (
            [("grpc-status", "5"), ("grpc-message", "unknown%20service%0A")],
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service\n",
        ),
        ([("grpc-status", "99")], "error: health rpc probe failed: rpc error: code = Code(99) desc = "),
        (
            [("grpc-status", "0")],
            "error: health rpc probe failed: rpc error: code = Internal desc = the answer is not one "
            "uncompressed message",
        ),
        (
            [("grpc-status", "9" * 4000)],
            "error: health rpc probe failed: rpc error: code = Code(9999) desc = ",
        ),
        (
            [],
            "error: health rpc probe failed: rpc error: code = Unknown desc = unexpected HTTP status code "
            "received from server: 200",
        ),
    ],
)
async def test_refusals(trailers: Headers, output: str) -> None:
    async with serving(refusing(*trailers).talk) as port:
        assert await check(port) == HandlerResult(Outcome.FAILURE, output)


def reset(connection: h2.connection.H2Connection, stream: int, _: bytes) -> None:
    connection.reset_stream(stream, 2)


def go_away(connection: h2.connection.H2Connection, stream: int, _: bytes) -> None:
    connection.close_connection(11)


def too_much(connection: h2.connection.H2Connection, stream: int, _: bytes) -> None:
    connection.send_headers(stream, RESPONSE)
    connection.send_data(stream, message(b"\x12\x80\x60" + b"x" * 12288))


def no_answer(connection: h2.connection.H2Connection, stream: int, _: bytes) -> None:
    pass


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reset, "code = Internal desc = stream terminated by RST_STREAM"),
        (go_away, "code = Unavailable desc = the server sent GOAWAY"),
        (too_much, "code = RESOURCE"),
        (no_answer, "timeout: health rpc did not complete within 0.3s"),
    ],
)
async def test_calls_that_come_to_nothing(answer: Any, words: str) -> None:
    async with serving(HealthServer(answer).talk) as port:
        result = await check(port, within=0.3)
    assert result.outcome is Outcome.FAILURE
    assert words.replace("RESOURCE", "ResourceExhausted") in result.output


async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(page(400, "what?"))
    await writer.drain()
    await reader.read()


async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes(range(255, -1, -1)) * 20)
        await writer.drain()


async def endless_settings(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"\0\0\0\4\0\0\0\0\0" * 100)
        await writer.drain()


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("talk", [http1, garbage, endless_settings, hang_up])
async def test_hostile_peers(talk: Talk) -> None:
    async with serving(talk) as port:
        result = await check(port, within=3)
    assert result.outcome is Outcome.FAILURE
    assert "code = Unavailable" in result.output
    assert len(result.output) < 500


async def test_peers_that_say_nothing() -> None:
    async with serving(silent) as port:
        result = await check(port, within=0.05)
        said = (
            f'timeout: failed to connect service "127.0.0.1:{port}" within 0.05s: context deadline exceeded'
        )
        assert result == HandlerResult(Outcome.FAILURE, said)
    with deaf_port() as port:
        assert "timeout: failed to connect service" in (await check(port, within=0.05)).output
    port = closed_port()
    result = await check(port)
    assert result.output == (
        f'error: failed to connect service at "127.0.0.1:{port}": '
        f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    )


@given(st.binary(max_size=40))
def test_any_bytes_are_a_status_or_an_error(data: bytes) -> None:
    for whole in (data, message(data), message(b"\x08" + data)):
        try:
            assert grpc_health.response_status(whole) >= 0
        except grpc_health._RpcError as error:
            assert error.code == 13  # noqa: PT017
