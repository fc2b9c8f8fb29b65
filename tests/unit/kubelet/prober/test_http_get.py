"""httpGet against real servers: verdicts, redirects, headers, TLS, and peers that mean no good."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Any

import pytest

from minipod.api import core_v1
from minipod.kubelet.prober.handlers import HandlerResult, Outcome, run_handler
from minipod.kubelet.prober.http_request import InvalidRequestError, first_url, request_bytes
from minipod.kubelet.prober.types import MAX_OUTPUT
from tests.unit.kubelet.prober.peers import (
    Web,
    closed_port,
    deaf_port,
    page,
    server_context,
    serving,
    silent,
    target,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


async def probe(port: int | str, within: float = 5, ip: str = "127.0.0.1", **action: Any) -> HandlerResult:
    handler = core_v1.Probe(httpGet=core_v1.HTTPGetAction(port=port, **action))
    return await run_handler(handler, target(ip=ip), None, timeout=within)  # type: ignore[arg-type]


async def hook(port: int, within: float | None = 5, **action: Any) -> HandlerResult:
    handler = core_v1.LifecycleHandler(httpGet=core_v1.HTTPGetAction(port=port, **action))
    return await run_handler(handler, target(), None, timeout=within)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "outcome", "output"),
    [
        (200, Outcome.SUCCESS, "body"),
        (299, Outcome.SUCCESS, "body"),
        (300, Outcome.WARNING, "Probe terminated redirects, Response body: body"),
        (302, Outcome.WARNING, "Probe terminated redirects, Response body: body"),
        (399, Outcome.WARNING, "Probe terminated redirects, Response body: body"),
        (400, Outcome.FAILURE, "HTTP probe failed with statuscode: 400"),
        (500, Outcome.FAILURE, "HTTP probe failed with statuscode: 500"),
        (999, Outcome.FAILURE, "HTTP probe failed with statuscode: 999"),
    ],
)
async def test_status(status: int, outcome: Outcome, output: str) -> None:
    async with serving(Web({"/": page(status, "body")}).talk) as port:
        assert await probe(port) == HandlerResult(outcome, output)


async def test_the_request_is_the_kubelets() -> None:
    web = Web({"/health?x=1": page(200)})
    async with serving(web.talk) as port:
        await probe(port, path="/health?x=1")
        assert web.asked == [
            f"GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "User-Agent: kube-probe/1.37\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        ]
        await hook(port, path="/health?x=1")
        assert "User-Agent: kube-lifecycle/1.37\r\n" in web.asked[1]


def sent(*headers: tuple[str, str]) -> list[str]:
    raw = request_bytes(first_url("HTTP", "10.0.0.1", 80, "/"), headers, "probe")
    return raw.decode().split("\r\n")[1:-2]


@pytest.mark.parametrize(
    ("headers", "lines"),
    [
        (
            [],
            ["Host: 10.0.0.1:80", "User-Agent: kube-probe/1.37", "Accept: */*", "Connection: close"],
        ),
        (
            [("host", "example.com"), ("user-agent", "mine"), ("ACCEPT", "text/html")],
            ["Host: example.com", "User-Agent: mine", "Accept: text/html", "Connection: close"],
        ),
        (
            [("User-Agent", ""), ("Accept", "")],
            ["Host: 10.0.0.1:80", "Connection: close"],
        ),
        (
            [("x-b", "2"), ("X-A", "1"), ("x-b", "3"), ("User-Agent", ""), ("Accept", "")],
            ["Host: 10.0.0.1:80", "X-A: 1", "X-B: 2", "X-B: 3", "Connection: close"],
        ),
        (
            [("Connection", "keep-alive"), ("Content-Length", "7"), ("Transfer-Encoding", "chunked"), ("Accept", "")],
            ["Host: 10.0.0.1:80", "User-Agent: kube-probe/1.37", "Connection: close"],
        ),
    ],
)  # fmt: skip
def test_headers(headers: list[tuple[str, str]], lines: list[str]) -> None:
    assert sent(*headers) == lines


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (("X", "a\r\nEvil: b"), 'invalid header field value for "X"'),
        (("Host", "a\nb"), 'invalid header field value for "Host"'),
        (("X Y", "a"), 'invalid header field name "X Y"'),
        (("", "a"), "invalid header field name"),
    ],
)
async def test_headers_that_would_break_out(header: tuple[str, str], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        sent(header)
    web = Web({})
    async with serving(web.talk) as port:
        name, value = header
        result = await probe(port, httpHeaders=[core_v1.HTTPHeader(name=name, value=value)])
    assert result.outcome is Outcome.FAILURE
    assert words in result.output
    assert web.asked == []


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("", "http://[::1]:80"),
        ("/", "http://[::1]:80/"),
        ("healthz", "http://[::1]:80/healthz"),
        ("/a b?c=d e#f", "http://[::1]:80/a%20b?c=d%20e"),
        ("/a%20b", "http://[::1]:80/a%20b"),
        ("/ü\r\nX: y", "http://[::1]:80/%C3%BCX:%20y"),
        ("http://elsewhere/x", "http://[::1]:80/x"),
        ("//[", "http://[::1]:80//%5B"),
        ("?q", "http://[::1]:80?q"),
    ],
)
def test_urls(path: str, url: str) -> None:
    assert str(first_url("HTTP", "::1", 80, path)) == url


async def test_named_ports() -> None:
    handler = core_v1.Probe(httpGet=core_v1.HTTPGetAction(port="http"))
    async with serving(Web({"/": page(200)}).talk) as port:
        ports = [core_v1.ContainerPort(name="http", containerPort=port)]
        result = await run_handler(handler, target(ports=ports), None, timeout=5)  # type: ignore[arg-type]
        assert result.outcome is Outcome.SUCCESS
        assert (await probe(str(port))).outcome is Outcome.SUCCESS
    result = await probe("http")
    assert result.outcome is Outcome.UNKNOWN
    assert result.output.endswith('strconv.Atoi: parsing "http": invalid syntax')
    assert await probe(0) == HandlerResult(Outcome.UNKNOWN, "invalid port number: 0")
    assert await probe("65536") == HandlerResult(Outcome.UNKNOWN, "invalid port number: 65536")


async def test_host_and_pod_without_address() -> None:
    async with serving(Web({"/": page(200)}).talk) as port:
        assert (await probe(port, ip="192.0.2.1", host="127.0.0.1")).outcome is Outcome.SUCCESS
        assert (await probe(port, ip="192.0.2.1", host="localhost")).outcome is Outcome.SUCCESS
        assert await probe(port, ip="") == HandlerResult(Outcome.UNKNOWN, "the pod has no IP address")


async def test_a_host_that_does_not_exist() -> None:
    result = await probe(80, host="no-such-host.invalid")
    assert result.outcome is Outcome.FAILURE
    assert "lookup no-such-host.invalid" in result.output


async def test_ipv6() -> None:
    async with serving(Web({"/": page(200)}).talk, host="::1") as port:
        assert (await probe(port, ip="::1")).outcome is Outcome.SUCCESS


async def test_redirects_to_the_same_host_are_followed() -> None:
    second = Web({"/end?x=1": page(200, "end")})
    async with serving(second.talk) as other:
        where = f"http://127.0.0.1:{other}/end?x=1"
        first = Web(
            {"/a": page(301, Location="/b"), "/b": page(307, Location="c"), "/c": page(308, Location=where)}
        )
        async with serving(first.talk) as port:
            headers = [core_v1.HTTPHeader(name="Host", value="me"), core_v1.HTTPHeader(name="X", value="1")]
            result = await probe(port, path="/a", httpHeaders=headers)
    assert result == HandlerResult(Outcome.SUCCESS, "end")
    assert first.paths == ["/a", "/b", "/c"]
    assert "Host: me\r\n" in first.asked[2]
    assert f"Host: 127.0.0.1:{other}\r\n" in second.asked[0]
    assert "X: 1\r\n" in second.asked[0]


async def test_a_redirect_that_ends_in_a_failure_is_one() -> None:
    async with serving(Web({"/": page(302, Location="/bad"), "/bad": page(503)}).talk) as port:
        assert await probe(port) == HandlerResult(Outcome.FAILURE, "HTTP probe failed with statuscode: 503")


@pytest.mark.parametrize(
    "where", ["http://192.0.2.9/x", "//192.0.2.9/x", "https://localhost/x", "ftp://127.0.0.1/"]
)
async def test_a_redirect_elsewhere_is_a_warning(where: str) -> None:
    async with serving(Web({"/": page(302, "gone", Location=where)}).talk) as port:
        result = await probe(port)
    assert result == HandlerResult(Outcome.WARNING, "Probe terminated redirects, Response body: gone")


async def test_a_loop_of_redirects_fails_after_ten_requests() -> None:
    web = Web({"/loop": page(302, Location="/loop")})
    async with serving(web.talk) as port:
        result = await probe(port, path="/loop")
    assert result == HandlerResult(
        Outcome.FAILURE, f'Get "http://127.0.0.1:{port}/loop": stopped after 10 redirects'
    )
    assert len(web.asked) == 10


async def test_a_location_that_is_no_url() -> None:
    async with serving(Web({"/": page(302, Location="http://[::1/")}).talk) as port:
        result = await probe(port)
    assert result.outcome is Outcome.FAILURE
    assert "failed to parse Location header" in result.output


async def test_tls_with_any_certificate(certificate: str) -> None:
    web = Web({"/": page(200, "safe"), "/next": page(302, Location="/")})
    async with serving(web.talk, ssl=server_context(certificate)) as port:
        assert await probe(port, scheme="HTTPS") == HandlerResult(Outcome.SUCCESS, "safe")
        assert await probe(port, scheme="HTTPS", path="/next") == HandlerResult(Outcome.SUCCESS, "safe")
        assert await hook(port, scheme="HTTPS") == HandlerResult(Outcome.SUCCESS, "HTTP status 200")


async def test_tls_where_there_is_none() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(page(400, "speak HTTP"))
        await writer.drain()
        await reader.read(100)

    async with serving(plain) as port:
        result = await probe(port, scheme="HTTPS")
    assert result.outcome is Outcome.FAILURE
    assert result.output.endswith("http: server gave HTTP response to HTTPS client")


async def test_a_hook_falls_back_from_tls_without_its_credentials() -> None:
    asked: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1000))
        writer.write(page(200))
        await writer.drain()
        await reader.read(100)

    headers = [
        core_v1.HTTPHeader(name="authorization", value="secret"),
        core_v1.HTTPHeader(name="X", value="1"),
    ]
    async with serving(plain) as port:
        result = await hook(port, scheme="HTTPS", httpHeaders=headers)
    assert result == HandlerResult(
        Outcome.WARNING,
        "request to HTTPS lifecycle hook 127.0.0.1 got HTTP response, retry with HTTP succeeded",
    )
    assert b"X: 1" in asked[1]
    assert b"secret" not in asked[1]


async def test_a_hook_cares_only_that_it_is_answered() -> None:
    async with serving(Web({"/": page(500)}).talk) as port:
        assert await hook(port) == HandlerResult(Outcome.SUCCESS, "HTTP status 500")
        assert await hook(port, within=None) == HandlerResult(Outcome.SUCCESS, "HTTP status 500")
    port = closed_port()
    assert await hook(port) == HandlerResult(
        Outcome.FAILURE,
        f'Get "http://127.0.0.1:{port}": dial tcp 127.0.0.1:{port}: connect: connection refused',
    )


async def test_nobody_listens() -> None:
    port = closed_port()
    assert await probe(port, path="/x") == HandlerResult(
        Outcome.FAILURE,
        f'Get "http://127.0.0.1:{port}/x": dial tcp 127.0.0.1:{port}: connect: connection refused',
    )


async def test_nobody_answers() -> None:
    timed_out = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    with deaf_port() as port:
        result = await probe(port, within=0.05)
    assert result == HandlerResult(Outcome.FAILURE, f'Get "http://127.0.0.1:{port}": {timed_out}')


async def write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def endless_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await write(writer, b"HTTP/1.1 200 OK\r\n")
    while True:
        await write(writer, b"X: " + b"y" * 1000 + b"\r\n")


async def endless_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await write(writer, b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await write(writer, b"z" * 5000)


async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await write(writer, b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        await write(writer, b"y")
        await asyncio.sleep(0.005)


async def half_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await write(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
    await silent(reader, writer)


async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await write(writer, bytes(range(256)) * 4)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (silent, "context deadline exceeded"),
        (drip, "context deadline exceeded"),
        (endless_headers, "server response headers exceeded"),
        (garbage, "malformed HTTP response"),
        (reset, "connection reset by peer"),
        (hang_up, "EOF"),
    ],
)
async def test_hostile_peers_fail_in_time(talk: Any, words: str) -> None:
    async with serving(talk) as port:
        began = time.monotonic()
        result = await probe(port, within=0.15)
        assert time.monotonic() - began < 2
    assert result.outcome is Outcome.FAILURE
    assert words in result.output
    assert len(result.output) < 500


async def cut_short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await write(writer, b"HTTP/1.1 500 Bad\r\nContent-Length: 10\r\n\r\nx")
    writer.close()


@pytest.mark.parametrize(
    ("talk", "status", "words"),
    [
        (
            half_a_body,
            200,
            "context deadline exceeded (Client.Timeout or context cancellation while reading body)",
        ),
        (cut_short, 500, "unexpected EOF"),
    ],
)
async def test_a_body_without_end_says_nothing_of_the_container(talk: Any, status: int, words: str) -> None:
    async with serving(talk) as port:
        result = await probe(port, within=0.15)
        assert result == HandlerResult(Outcome.UNKNOWN, f'Get "http://127.0.0.1:{port}": {words}')
        assert await hook(port, within=0.15) == HandlerResult(Outcome.SUCCESS, f"HTTP status {status}")


@pytest.mark.parametrize("talk", [silent, drip, garbage, reset])
async def test_hostile_peers_instead_of_tls(talk: Any) -> None:
    async with serving(talk) as port:
        result = await probe(port, within=0.15, scheme="HTTPS")
    assert result.outcome is Outcome.FAILURE


async def test_a_tls_peer_that_never_says_goodbye(certificate: str) -> None:
    async with serving(endless_body, ssl=server_context(certificate)) as port:
        result = await probe(port, scheme="HTTPS")
    assert result == HandlerResult(Outcome.SUCCESS, "z" * MAX_OUTPUT)


async def test_an_endless_body_is_cut_off() -> None:
    async with serving(endless_body) as port:
        assert await probe(port) == HandlerResult(Outcome.SUCCESS, "z" * MAX_OUTPUT)


async def test_cancelling_closes_the_connection() -> None:
    gone = asyncio.Event()
    here = asyncio.Event()

    async def wait_for_end(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        here.set()
        try:
            await reader.read()
        except ConnectionResetError:
            gone.set()

    async with serving(wait_for_end) as port:
        task = asyncio.ensure_future(probe(port, within=60))
        await here.wait()
        task.cancel()
        async with asyncio.timeout(5):
            await gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await task
