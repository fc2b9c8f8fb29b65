"""tcpSocket, sleep, handlers that are missing, and port names."""

from __future__ import annotations

import asyncio
import resource
import time
from typing import Any

import pytest

from minipod.api import core_v1
from minipod.kubelet.prober.handlers import HandlerResult, Outcome, run_handler
from minipod.kubelet.prober.ports import PortError, resolve_port
from tests.unit.kubelet.prober.peers import closed_port, deaf_port, serving, silent, target

pytestmark = pytest.mark.usefixtures("no_leaks")

CONTAINER = core_v1.Container(
    name="web",
    ports=[
        core_v1.ContainerPort(name="http", containerPort=8080, hostPort=80),
        core_v1.ContainerPort(name="99", containerPort=9090),
    ],
)


async def tcp(port: int | str, *, within: float = 5, ip: str = "127.0.0.1", host: str = "") -> HandlerResult:
    handler = core_v1.Probe(tcpSocket=core_v1.TCPSocketAction(port=port, host=host or None))
    return await run_handler(handler, target(ip=ip), None, timeout=within)  # type: ignore[arg-type]


async def test_tcp() -> None:
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        try:
            seen.put_nowait(await reader.read())
        except ConnectionResetError:
            seen.put_nowait(b"reset")

    async with serving(talk) as port:
        assert await tcp(port) == HandlerResult(Outcome.SUCCESS)
        assert await tcp(str(port), ip="192.0.2.1", host="localhost") == HandlerResult(Outcome.SUCCESS)
        async with asyncio.timeout(5):
            assert [await seen.get(), await seen.get()] == [b"reset", b"reset"]


async def test_tcp_refused_and_deaf() -> None:
    port = closed_port()
    said = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert await tcp(port) == HandlerResult(Outcome.FAILURE, said)
    with deaf_port() as port:
        assert await tcp(port, within=0.05) == HandlerResult(
            Outcome.FAILURE, f"dial tcp 127.0.0.1:{port}: i/o timeout"
        )


async def test_tcp_without_somewhere_to_go() -> None:
    assert (await tcp("nope")).outcome is Outcome.UNKNOWN
    assert (await tcp(80, ip="")).outcome is Outcome.UNKNOWN
    assert "no such host" in (await tcp(80, host="no-such-host.invalid")).output
    assert "lookup" in (await tcp(80, host="a" * 70 + ".invalid")).output


async def test_a_host_with_a_nul() -> None:
    assert "no such host" in (await tcp(80, host="a\0b")).output


@pytest.mark.parametrize(
    "action",
    [
        {"tcpSocket": core_v1.TCPSocketAction(port=1)},
        {"httpGet": core_v1.HTTPGetAction(port=1)},
        {"httpGet": core_v1.HTTPGetAction(port=1, scheme="HTTPS")},
        {"grpc": core_v1.GRPCAction(port=1)},
    ],
)
async def test_no_socket_left_says_nothing_of_the_peer(action: Any) -> None:
    """Or pods that hold on to many connections would have the containers of others restarted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = core_v1.Probe(**action)
    await run_handler(probe, target(), None, timeout=5)  # type: ignore[arg-type]  # imports what it needs
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        result = await run_handler(probe, target(), None, timeout=5)  # type: ignore[arg-type]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert result == HandlerResult(Outcome.UNKNOWN, "cannot open a socket: Too many open files")


async def test_tcp_hook() -> None:
    async with serving(silent) as port:
        handler = core_v1.LifecycleHandler(tcpSocket=core_v1.TCPSocketAction(port=port))
        result = await run_handler(handler, target(), None, timeout=None)  # type: ignore[arg-type]
    assert result == HandlerResult(Outcome.SUCCESS)


@pytest.mark.parametrize(
    ("seconds", "within", "result"),
    [
        (0, None, HandlerResult(Outcome.SUCCESS)),
        (0, 0.0, HandlerResult(Outcome.SUCCESS)),
        (30, 0.01, HandlerResult(Outcome.FAILURE, "sleep of 30s was cut short after 0.01s")),
    ],
)
async def test_sleep(seconds: int, within: float | None, result: HandlerResult) -> None:
    began = time.monotonic()
    handler = core_v1.LifecycleHandler(sleep=core_v1.SleepAction(seconds=seconds))
    assert await run_handler(handler, target(), None, timeout=within) == result  # type: ignore[arg-type]
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("handler", [core_v1.Probe(), core_v1.LifecycleHandler()])
async def test_no_handler_at_all(handler: Any) -> None:
    result = await run_handler(handler, target(), None, timeout=1)  # type: ignore[arg-type]
    assert result == HandlerResult(Outcome.UNKNOWN, "missing probe handler for container web")


@pytest.mark.parametrize(
    ("port", "number"), [(80, 80), ("http", 8080), ("99", 9090), ("81", 81), (65535, 65535)]
)
def test_ports(port: int | str, number: int) -> None:
    assert resolve_port(port, CONTAINER) == number


@pytest.mark.parametrize("port", [0, -1, 65536, "0", "-1", "", "https", "٣", "1" * 5000])
def test_bad_ports(port: int | str) -> None:
    with pytest.raises(PortError):
        resolve_port(port, CONTAINER)
