"""The command line's HTTP client, against servers that answer well, oddly or not at all."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minipod.api.errors import StatusError
from minipod.client.http import ApiClient, ApiUnreachableError, resource_path
from minipod.client.websocket import WebSocket, WebSocketError, open_websocket
from tests.helpers.wait import wait_until

Script = Callable[[socket.socket], None]


class Scripted:
    """A server of one connection after another, each played by a script."""

    def __init__(self, path: Path, *scripts: Script) -> None:
        self.path = path
        self._scripts = scripts
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for script in self._scripts:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(10)
                script(connection)

    def close(self) -> None:
        self._thread.join(10)
        self._listener.close()


Serve = Callable[..., ApiClient]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    opened: list[Scripted | ApiClient] = []

    def start(*scripts: Script, timeout: float = 10) -> ApiClient:
        path = tmp_path / "api.sock"
        client = ApiClient(str(path), timeout=timeout)
        opened.extend((client, Scripted(path, *scripts)))
        return client

    yield start
    for one in opened:
        one.close()


def answer(*pieces: bytes) -> Script:
    """Read one request, then send the pieces."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        for piece in pieces:
            connection.sendall(piece)

    return script


def read_request(connection: socket.socket, end: bytes = b"\r\n\r\n") -> bytes:
    data = b""
    while not data.endswith(end):
        received = connection.recv(4096)
        if not received:
            return data
        data += received
    return data


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


JSON = "Content-Type: application/json"


def test_paths_are_escaped() -> None:
    assert resource_path("pods", "default", "web", "log") == "/api/v1/namespaces/default/pods/web/log"
    assert resource_path("pods") == "/api/v1/pods"
    assert (
        resource_path("deployments", "d", api_version="apps/v1") == "/apis/apps/v1/namespaces/d/deployments"
    )
    assert resource_path("pods", "../x", "a/b?c") == "/api/v1/namespaces/..%2Fx/pods/a%2Fb%3Fc"


def test_bodies_of_every_framing(serve: Serve) -> None:
    body = b'{"a":"b"}'
    chunked = b"4;x=y\r\n%b\r\n5\r", b"\n%b\r\n0\r\n\r\n"
    client = serve(
        answer(head(JSON, f"Content-Length: {len(body)}"), body[:3], body[3:]),
        answer(head(JSON, "Transfer-Encoding: chunked"), chunked[0] % body[:4], chunked[1] % body[4:]),
        answer(head(JSON, "Connection: close"), body),
        answer(head("HTTP-Ignored: x", status="100 Continue") + head(JSON, "Content-Length: 2"), b"{}"),
    )
    found = []
    for _ in range(4):
        found.append(client.get("/x"))
        client.close()
    assert found == [{"a": "b"}, {"a": "b"}, {"a": "b"}, {}]


def test_a_connection_is_used_again_and_replaced_when_it_is_stale(serve: Serve) -> None:
    ok = head(JSON, "Content-Length: 1") + b"1"

    def two_then_close(connection: socket.socket) -> None:
        for _ in range(2):
            read_request(connection)
            connection.sendall(ok)

    client = serve(two_then_close, answer(ok))
    assert [client.get("/x") for _ in range(3)] == [1, 1, 1]


def test_a_change_is_not_sent_twice(serve: Serve) -> None:
    """When the server has hung up without an answer, it may have done what it was asked."""

    def one_then_vanish(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head(JSON, "Content-Length: 1") + b"1")
        read_request(connection, b"{}")

    client = serve(one_then_vanish)
    client.get("/x")
    with pytest.raises(ApiUnreachableError, match="broke"):
        client.create("/x", {})


@pytest.mark.parametrize(
    "pieces",
    [
        (b"220 ready to send mail\r\n\r\n",),
        (b"HTTP/1.1 OK\r\n\r\n",),
        (head(JSON, "Transfer-Encoding: chunked"), b"zz\r\n"),
        (head(JSON, "Content-Length: 10"), b"123"),
        (head(JSON, "Transfer-Encoding: chunked"), b"-5\r\n{}"),
        (head(JSON, "Transfer-Encoding: chunked"), b"ffffffffffffffffffff\r\n{}"),
        (head(JSON, "Transfer-Encoding: chunked"), b"2\r\n{}\r\n"),
        (head(JSON, f"Content-Length: {10**30}"), b"{}"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 17),),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200,),
        (),
    ],
)
def test_nonsense_is_no_answer(serve: Serve, pieces: tuple[bytes, ...]) -> None:
    """Neither to a request nor to a stream, wherever it shows that it is none."""
    client = serve(answer(*pieces), answer(*pieces))
    with pytest.raises(ApiUnreachableError, match="broke"):
        client.get("/x")
    with pytest.raises(ApiUnreachableError, match="broke"), client.stream("GET", "/x") as stream:
        list(stream)


def test_a_server_that_never_answers_is_given_up(serve: Serve) -> None:
    def sleep(connection: socket.socket) -> None:
        read_request(connection)
        connection.recv(1)

    with pytest.raises(ApiUnreachableError, match=r"did not answer within 0\.05 seconds"):
        serve(sleep, timeout=0.05).get("/x")


def test_a_client_can_be_used_after_a_request_that_failed(serve: Serve) -> None:
    """`run --rm` deletes its pod also when waiting for it was interrupted."""
    ok = head(JSON, "Content-Length: 1") + b"1"
    client = serve(answer(ok[:-1]), answer(head(JSON, "Content-Length: 9") + b"1"), answer(ok))
    for _ in range(2):
        with pytest.raises(ApiUnreachableError):
            client.get("/x")
    assert client.get("/x") == 1


def test_paths_typed_by_hand_are_sent_as_they_must_be(serve: Serve) -> None:
    said: list[bytes] = []

    def script(connection: socket.socket) -> None:
        said.append(read_request(connection))
        connection.sendall(head("Content-Length: 2") + b"ok")

    assert serve(script).get("/a b/\u00fc%2F?x=1&y") == "ok"
    assert said[0].startswith(b"GET /a%20b/%C3%BC%2F?x=1&y HTTP/1.1\r\n")


def test_no_server_at_all(tmp_path: Path) -> None:
    with pytest.raises(ApiUnreachableError, match=r"No such file or directory \(start it: minipod daemon\)"):
        ApiClient(str(tmp_path / "missing.sock")).get("/x")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead.sock"))
    dead.close()
    with pytest.raises(ApiUnreachableError, match="Connection refused"):
        ApiClient(str(tmp_path / "dead.sock")).get("/x")


def test_errors_that_are_no_status_are_shown_as_they_are(serve: Serve) -> None:
    client = serve(answer(head("Content-Length: 9", status="502 Bad Gateway"), b"no luck\r\n"))
    with pytest.raises(StatusError, match="no luck") as error:
        client.get("/x")
    assert error.value.code == 502


def test_warnings_are_read(serve: Serve, tmp_path: Path) -> None:
    serve(
        answer(
            head(JSON, 'Warning: 299 - "a \\"b\\" \\\\ c"', 'Warning: 299 - "ü\u0085Å"', "Content-Length: 2")
            + b"{}"
        )
    )
    heard: list[str] = []
    with ApiClient(str(tmp_path / "api.sock"), timeout=10, on_warning=heard.append) as client:
        client.get("/x")
    assert heard == ['a "b" \\ c', "ü\u0085Å"]


def test_lines_are_put_together(serve: Serve) -> None:
    client = serve(answer(head("Connection: close"), b"on", b"e\ntwo\nth", b"ree"))
    with client.stream("GET", "/x") as stream:
        assert list(stream.lines()) == [b"one", b"two", b"three"]


@pytest.mark.parametrize(
    ("framing", "piece"),
    [
        ("Transfer-Encoding: chunked", b"c\r\none\ntwo\nthre\r\n2\r\ne\n"),
        ("Connection: close", b"one\ntwo\nthree\n"),
    ],
)
def test_each_line_is_there_as_soon_as_it_has_come(serve: Serve, framing: str, piece: bytes) -> None:
    """Also those that came together, and though the server says nothing more before it has heard of them."""
    seen = threading.Event()
    waited: list[bool] = []

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head(framing) + piece)
        waited.append(seen.wait(10))

    with serve(script).stream("GET", "/x") as stream:
        lines = stream.lines()
        assert [next(lines) for _ in range(3)] == [b"one", b"two", b"three"]
        seen.set()
    wait_until(lambda: waited == [True])


def test_waiting_for_more_can_be_bounded(serve: Serve) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head("Transfer-Encoding: chunked") + b"2\r\n1\n\r\n")
        connection.recv(1)

    with serve(script).stream("GET", "/x") as stream:
        stream.settimeout(0.05)
        lines = stream.lines()
        assert next(lines) == b"1"
        with pytest.raises(TimeoutError):
            next(lines)


def test_an_upload_that_is_refused_halfway_says_why(serve: Serve) -> None:
    def script(connection: socket.socket) -> None:
        assert b"Transfer-Encoding: chunked" in read_request(connection)
        connection.sendall(head("Content-Length: 3", status="413 Content Too Large") + b"big")

    with pytest.raises(StatusError, match="big"):
        serve(script).stream("POST", "/x", body=(b"x" * (1 << 16) for _ in range(100)))


def upgrade(connection: socket.socket, first: bytes = b"") -> bytes:
    """Answer a WebSocket handshake rightly, with `first` hard on its heels, and say what was asked."""
    import base64
    import hashlib

    request = read_request(connection)
    key = next(
        line.split(b": ")[1]
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    accept = base64.b64encode(digest).decode()
    connection.sendall(
        head(
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
            "Sec-WebSocket-Protocol: v5",
            status="101 Switching Protocols",
        )
        + first
    )
    return request


def websocket(client: ApiClient) -> WebSocket:
    found, _ = open_websocket(client.connect(), "/x", ("v5", "v4"))
    assert found is not None
    return found


def test_websocket_messages_in_pieces_with_pings_between(serve: Serve) -> None:
    said: list[bytes] = []

    def script(connection: socket.socket) -> None:
        upgrade(connection)
        connection.sendall(b"\x02\x03one" + b"\x89\x02hi" + b"\x80\x03two")
        connection.sendall(b"\x82\x7e\x01\x00" + b"x" * 100)
        connection.sendall(b"x" * 156 + b"\x88\x02\x03\xe8")
        data = b""
        while len(data) < 8 + 8:
            data += connection.recv(100)
        said.append(data)

    socket_ = websocket(serve(script))
    assert socket_.protocol == "v5"
    messages = []
    while (received := socket_.receive()) is not None:
        messages += received
    socket_.close()
    assert messages == [b"onetwo", b"x" * 256]


def test_websocket_messages_that_come_with_the_handshake(serve: Serve) -> None:
    def script(connection: socket.socket) -> None:
        upgrade(connection, b"\x82\x03one\x82\x03two")

    socket_ = websocket(serve(script))
    assert socket_.receive() == [b"one", b"two"]
    assert socket_.receive() is None
    socket_.close()


@pytest.mark.parametrize(
    "frame", [b"\x82\x83abcdxyz", b"\xf2\x01x", b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"]
)
def test_websocket_frames_no_server_may_send(serve: Serve, frame: bytes) -> None:
    def script(connection: socket.socket) -> None:
        upgrade(connection)
        connection.sendall(frame)

    socket_ = websocket(serve(script))
    with pytest.raises(WebSocketError):
        socket_.receive()
    socket_.close()


def test_websocket_handshake_must_be_answered_rightly(serve: Serve) -> None:
    client = serve(answer(head("Sec-WebSocket-Accept: bm8=", status="101 Switching Protocols")))
    connection = client.connect()
    with pytest.raises(WebSocketError, match="handshake"):
        open_websocket(connection, "/x", ("v5",))
    connection.close()


def test_the_client_is_quick_to_import() -> None:
    """What a `get` loads: neither aiohttp nor msgspec nor the generated types."""
    code = "import minipod.client.http, minipod.client.streaming, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"aiohttp", "msgspec", "minipod.api.core_v1", "asyncio"}
    assert not heavy & set(loaded)
