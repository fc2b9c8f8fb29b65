"""Strangers at the port: silent, slow, many. Those who are known do not notice them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from minipod.apiserver import door
from minipod.apiserver.registry.registry import Registry
from minipod.apiserver.server import ApiServer, TcpListener
from minipod.apiserver.users import client_certificate
from minipod.pki.directory import PkiDirectory

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Port:
    """An API server over TLS, and connections to it."""

    def __init__(self, pki: PkiDirectory, server: ApiServer) -> None:
        self.server = server
        self.number = server.ports[0]
        self.held: list[asyncio.StreamWriter] = []
        self.anonymous = ssl.create_default_context(cafile=str(pki.path / "ca.crt"))
        self.admin = ssl.create_default_context(cafile=str(pki.path / "ca.crt"))
        pair = pki.client("admin", ["system:masters"])
        (pki.path / "admin.pem").write_bytes(pair.certificate + pair.key)
        self.admin.load_cert_chain(pki.path / "admin.pem")

    async def connect(self, context: ssl.SSLContext | None = None) -> Streams:
        """Without a context: not a byte is said."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number, ssl=context)
        self.held.append(writer)
        return reader, writer


@pytest_asyncio.fixture
async def port(registry: Registry, tmp_path: Path) -> AsyncIterator[Port]:
    pki = PkiDirectory(tmp_path / "pki")
    pki.ensure_serving(["127.0.0.1"])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki.path / "ca.crt"))
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.load_cert_chain(pki.path / "server.pem")
    server = ApiServer(registry, {})
    await server.start([TcpListener("127.0.0.1", 0, client_certificate, tls)])
    server.ready = True
    port = Port(pki, server)
    yield port
    await server.stop()
    for writer in port.held:
        writer.transport.abort()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "tls-door"]


async def status(streams: Streams, path: bytes) -> bytes:
    reader, writer = streams
    writer.write(GET % path)
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
    return head.split(b" ")[1]


async def hung_up(reader: asyncio.StreamReader) -> bool:
    """Wait for it."""
    async with asyncio.timeout(10):
        try:
            await reader.read()
        except ConnectionError:
            pass
    return True


async def test_the_silent_are_sent_away(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HANDSHAKE_TIMEOUT", 0.2)
    reader, _ = await port.connect()
    assert await hung_up(reader)


async def test_the_anonymous_may_ask_and_do_not_stay(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "STRANGER_LIFE", 0.5)
    streams = await port.connect(port.anonymous)
    assert await status(streams, b"/healthz") == b"200"
    assert await status(streams, b"/api") == b"403"
    assert await hung_up(streams[0])


async def test_a_request_that_never_ends_ends(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "STRANGER_LIFE", 0.5)
    reader, writer = await port.connect(port.anonymous)
    writer.write(b"GET /healthz HTTP/1.1\r\nX-")
    assert await hung_up(reader)


async def test_the_oldest_strangers_make_room_and_the_known_stay(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MAX_STRANGERS", 4)
    known = await port.connect(port.admin)
    assert await status(known, b"/api/v1/pods") == b"200"
    early = [await port.connect() for _ in range(6)]
    late = [await port.connect(port.anonymous) for _ in range(4)]
    for reader, _ in early:
        assert await hung_up(reader)
    for streams in late:
        assert await status(streams, b"/healthz") == b"200"
    assert await status(known, b"/api/v1/pods") == b"200"


async def test_those_who_leave_by_themselves_are_forgotten(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MAX_STRANGERS", 2)
    staying = await port.connect(port.anonymous)
    assert await status(staying, b"/healthz") == b"200"
    for _ in range(5):
        streams = await port.connect(port.anonymous)
        assert await status(streams, b"/healthz") == b"200"
        streams[1].close()
        await streams[1].wait_closed()
    assert await status(staying, b"/healthz") == b"200"


async def test_a_head_without_bounds_is_refused_and_fills_no_log(
    port: Port, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await port.connect(port.anonymous)
    writer.write(b"GET /healthz HTTP/1.1\r\n" + b"X: %s\r\n" % (b"x" * 20_000))
    async with asyncio.timeout(10):
        assert b" 400 " in await reader.readline()
    assert await hung_up(reader)
    assert not caplog.records


async def test_rubbish_instead_of_a_handshake_is_hung_up_on(port: Port) -> None:
    reader, writer = await port.connect()
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await hung_up(reader)
