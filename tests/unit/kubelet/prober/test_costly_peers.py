"""httpGet against peers that would keep the daemon busy or fill its memory."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from minipod.kubelet.prober import http_exchange
from minipod.kubelet.prober.handlers import HandlerResult, Outcome
from minipod.kubelet.prober.http_reply import HttpReply
from minipod.kubelet.prober.http_request import first_request, first_url
from minipod.kubelet.prober.sockets import Address
from tests.unit.kubelet.prober.peers import Web, page, server_context, serving
from tests.unit.kubelet.prober.test_http_get import probe

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_made_up_redirects_are_not_remembered() -> None:
    """What is made of a pod's own URL is kept; a peer that makes up URLs must not fill the memory with them."""
    where = [f"/{number}{'<' * 4000}" for number in range(8)]
    pages = {f"/{quote(there[1:])}": page(302, Location=next_) for there, next_ in pairwise(where)}
    last = f"/{quote(where[-1][1:])}"
    web = Web({"/start": page(302, Location=where[0]), **pages, last: page(200, "there")})
    before = first_url.cache_info().currsize, first_request.cache_info().currsize
    async with serving(web.talk) as port:
        assert await probe(port, path="/start") == HandlerResult(Outcome.SUCCESS, "there")
    after = first_url.cache_info().currsize, first_request.cache_info().currsize
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


async def test_a_location_beyond_all_reason() -> None:
    async with serving(Web({"/": page(302, Location="/" + "x" * 5000)}).talk) as port:
        result = await probe(port)
    assert result.outcome is Outcome.FAILURE
    assert "failed to parse Location header" in result.output


async def test_others_have_their_turn_while_a_peer_talks() -> None:
    """The whole answer is there when it is read; each piece is read in a turn of its own."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"HTTP/1.1 200 OK\r\n" + b"a:\n" * 20_000 + b"Content-Length: 0\r\n\r\n")
        ours.setblocking(False)
        counting = asyncio.create_task(count())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(http_exchange, "begin", lambda _: ours)
            await http_exchange.exchange(Address(socket.AF_INET, ("", 0)), b"", HttpReply())
        counting.cancel()
    assert turns >= 1


@pytest.mark.parametrize("context", [http_exchange.tls_context, http_exchange.old_tls_context])
def test_no_handshake_that_takes_seconds_to_compute(context: Any) -> None:
    """The peer chooses from what is offered: a prime of 10000 bits kept the daemon busy for 2.4 s."""
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context().wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    hello = outgoing.read()
    assert not [
        cipher["name"]
        for cipher in context().get_ciphers()
        if "DHE-" in cipher["name"].replace("ECDHE-", "")
    ]
    has_ffdhe = b"\x01\x00" in supported_groups(hello)
    assert (
        not has_ffdhe or context().maximum_version is ssl.TLSVersion.TLSv1_2
    )  # where groups are curves only


def supported_groups(hello: bytes) -> list[bytes]:
    """Of a ClientHello (RFC 8446, 4.2.7): 0x0100 and up are finite fields."""
    at = hello.index(b"\x00\x0a", 76)
    length = int.from_bytes(hello[at + 4 : at + 6], "big")
    groups = hello[at + 6 : at + 6 + length]
    return [groups[i : i + 2] for i in range(0, len(groups), 2)]


@pytest.fixture
def other_curve(tmp_path: Path) -> Path:
    whole = tmp_path / "both.pem"
    made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-days", "1"]
    subprocess.run(
        ["openssl", "req", *made, "-subj", "/CN=x", "-keyout", whole, "-out", tmp_path / "cert.pem"],
        check=True,
        capture_output=True,
    )
    whole.write_bytes(whole.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    return whole


@pytest.mark.usefixtures("certificate")
async def test_a_certificate_on_another_curve(other_curve: Path) -> None:
    async with serving(Web({"/": page(200, "safe")}).talk, ssl=server_context(str(other_curve))) as port:
        assert await probe(port, scheme="HTTPS") == HandlerResult(Outcome.SUCCESS, "safe")


@pytest.mark.usefixtures("certificate")
async def test_a_certificate_on_another_curve_in_tls_1_2(other_curve: Path) -> None:
    context = server_context(str(other_curve))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = asyncio.create_task(asyncio.to_thread(answer_the_second, listener, context))
        result = await probe(listener.getsockname()[1], scheme="HTTPS")
        await answering
    assert result == HandlerResult(Outcome.SUCCESS, "safe")


def answer_the_second(listener: socket.socket, context: ssl.SSLContext) -> None:
    """As servers do that tell a client why they refuse it, which asyncio's do not."""
    listener.settimeout(10)
    first, _ = listener.accept()
    with (
        first,
        pytest.raises(ssl.SSLError, match="no shared cipher"),
        context.wrap_socket(first, server_side=True),
    ):
        pass
    second, _ = listener.accept()
    with second, context.wrap_socket(second, server_side=True) as tls:
        tls.recv(1000)
        tls.sendall(page(200, "safe"))
        with contextlib.suppress(OSError):
            tls.recv(1)
