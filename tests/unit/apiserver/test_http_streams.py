"""Logs, exec, attach and the node's own pages, with the real client."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from minipod.api.errors import StatusError
from minipod.apiserver.http import streams as streams_module
from minipod.client.http import ApiClient, ApiUnreachableError, Query
from minipod.client.node import LogRequest, ProxyRequest, StreamRequest
from minipod.client.streaming import RemoteStreams, StreamExit, open_attach, open_exec
from tests.helpers.wait import wait_until
from tests.unit.apiserver.serving import ServerThread
from tests.unit.apiserver.test_http import PODS, manifest, refused


@pytest.fixture(scope="module")
def server(shared_server: ServerThread) -> ServerThread:
    with shared_server.client() as api:
        make_pods(api)
    return shared_server


@pytest.fixture
def api(server: ServerThread) -> Iterator[ApiClient]:
    server.node.forget()
    with server.client() as client:
        yield client


def make_pods(api: ApiClient) -> None:
    spec = {**manifest()["spec"], "nodeName": "here"}
    api.create(PODS, {**manifest(), "spec": spec})
    two = {"nodeName": "here", "containers": [{"name": name, "image": "i"} for name in ("a", "b")]}
    api.create(PODS, {**manifest("two"), "spec": {**two, "initContainers": [{"name": "i", "image": "i"}]}})
    api.create(PODS, manifest("nowhere"))
    api.create(PODS, {**manifest("far"), "spec": {**manifest()["spec"], "nodeName": "away"}})
    api.create("/api/v1/nodes", {"metadata": {"name": "here"}})


def everything(streams: RemoteStreams) -> tuple[bytes, bytes, StreamExit]:
    out = {"stdout": b"", "stderr": b""}
    while piece := streams.read():
        out[piece[0]] += piece[1]
    return out["stdout"], out["stderr"], streams.exit()


PING, PONG = 0x89, 0x8A
MASKED_PONG = b"\x8a\x80\0\0\0\0"


@contextmanager
def upgraded(server: ServerThread, **query: str) -> Iterator[tuple[socket.socket, bytearray]]:
    """An exec over a socket of one's own, after the handshake; with what has been received beyond that."""
    target = f"{PODS}/web/exec?{urlencode({'stdout': 'true', 'stderr': 'true', **query})}"
    headers = (
        "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\n{headers}\r\n\r\n".encode())
        received = bytearray()
        while b"\r\n\r\n" not in received:
            received += sock.recv(4096)
        assert received.startswith(b"HTTP/1.1 101 ")
        del received[: received.index(b"\r\n\r\n") + 4]
        yield sock, received


def frame(sock: socket.socket, received: bytearray) -> tuple[int, bytes]:
    """The next (short) frame: its first byte and its data."""
    while len(received) < 2 or len(received) < 2 + received[1]:
        received += sock.recv(4096)
    first, data = received[0], bytes(received[2 : 2 + received[1]])
    del received[: 2 + len(data)]
    return first, data


class TestLogs:
    def test_lines_come(self, server: ServerThread, api: ApiClient) -> None:
        query: Any = {"tailLines": 2, "timestamps": True, "sinceSeconds": 5, "limitBytes": 100}
        assert api.request("GET", f"{PODS}/web/log", query=query, accept="*/*") == "one\ntwo\n"
        assert server.node.requests == [
            LogRequest(
                namespace="default",
                pod="web",
                container="app",
                timestamps=True,
                tail_lines=2,
                since_seconds=5,
                limit_bytes=100,
            )
        ]

    def test_each_line_is_sent_at_once(self, server: ServerThread, api: ApiClient) -> None:
        with api.stream("GET", f"{PODS}/web/log", query={"follow": True}) as stream:
            lines = stream.lines()
            assert [next(lines), next(lines)] == [b"one", b"two"]
            server.loop.call_soon_threadsafe(server.node.lines.put_nowait, b"three\n")
            assert next(lines) == b"three"
            server.loop.call_soon_threadsafe(server.node.lines.put_nowait, None)
            assert list(lines) == []

    def test_a_reader_that_goes_away_ends_the_following(self, server: ServerThread, api: ApiClient) -> None:
        with api.stream("GET", f"{PODS}/web/log", query={"follow": True}) as stream:
            next(iter(stream))
        assert server.node.log_closed.wait(10)

    def test_a_stream_that_breaks_is_seen_to_be_broken(
        self, api: ApiClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not to have ended: the reader must not believe that it has seen everything."""
        with api.stream("GET", f"{PODS}/web/log", query={"tailLines": 13}) as stream:
            lines = stream.lines()
            assert next(lines) == b"one"
            with pytest.raises(ApiUnreachableError, match=r"incomplete|reset"):
                next(lines)
        assert "a secret of the inside" in caplog.text
        assert api.get("/healthz") == "ok"

    def test_the_container_must_be_clear(self, api: ApiClient) -> None:
        refused(
            lambda: api.get(f"{PODS}/two/log"),
            400,
            "a container name must be specified for pod two, choose one of: [a b] or one of the init containers: [i]",
        )
        refused(
            lambda: api.get(f"{PODS}/two/log", {"container": "c"}),
            400,
            "container c is not valid for pod two",
        )
        assert api.get(f"{PODS}/two/log", {"container": "i"}) == "one\ntwo\n"

    def test_a_pod_on_no_node_has_none(self, api: ApiClient) -> None:
        assert api.get(f"{PODS}/nowhere/log") == ""
        refused(lambda: api.get(f"{PODS}/missing/log"), 404, 'pods "missing" not found')

    def test_what_the_node_refuses_is_refused(self, api: ApiClient) -> None:
        refused(lambda: api.get(f"{PODS}/web/log", {"previous": True}), 400, "previous terminated container")

    @pytest.mark.parametrize(
        "query",
        [{"tailLines": -1}, {"limitBytes": 0}, {"sinceSeconds": 1, "sinceTime": "2026-01-02T03:04:05Z"}],
    )
    def test_options_that_make_no_sense(self, api: ApiClient, query: Any) -> None:
        refused(lambda: api.get(f"{PODS}/web/log", query), 422, 'PodLogOptions "web" is invalid')


class TestExec:
    def test_output_comes_on_two_channels(self, server: ServerThread, api: ApiClient) -> None:
        with open_exec(api, "default", "web", ["echo", "a b", "ü"]) as streams:
            assert everything(streams) == ("a b ü\n".encode(), b"said\n", StreamExit(0))
        assert server.node.requests == [
            StreamRequest(namespace="default", pod="web", container="app", command=("echo", "a b", "ü"))
        ]
        wait_until(lambda: server.node.streams[0].closed)

    @pytest.mark.parametrize("code", [1, 42, 137, 255])
    def test_the_exit_code_comes_back(self, api: ApiClient, code: int) -> None:
        with open_exec(api, "default", "web", ["exit", str(code)]) as streams:
            _, _, end = everything(streams)
        assert end.code == code
        assert end.message == f"command terminated with non-zero exit code: exit status {code}"

    def test_input_goes_in_until_its_end(self, api: ApiClient) -> None:
        data = bytes(range(256)) * 4000
        with open_exec(api, "default", "web", ["cat"], stdin=True) as streams:

            def feed() -> None:
                for start in range(0, len(data), 50_000):
                    streams.write_stdin(data[start : start + 50_000])
                streams.close_stdin()

            feeder = threading.Thread(target=feed)
            feeder.start()
            out, _, end = everything(streams)
            feeder.join()
        assert (out == data, end) == (True, StreamExit(0))

    def test_the_terminals_size_goes_in(self, api: ApiClient) -> None:
        with open_exec(api, "default", "web", ["cat"], stdin=True, stderr=False, tty=True) as streams:
            streams.resize(120, 40)
            assert streams.read() == ("stdout", b"120x40\n")
            streams._socket.send(b"\x04nonsense")
            streams._socket.send(b"\x09unknown channel")
            streams._socket.send(b"")
            streams.close_stdin()
            assert everything(streams) == (b"", b"", StreamExit(0))

    def test_nothing_is_said_before_the_client_listens(
        self, server: ServerThread, api: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Until it answers a ping: client-go drops what comes before it has registered its channels."""
        monkeypatch.setattr(streams_module, "PATIENCE", 60)
        with upgraded(server, command="echo") as (sock, received):
            assert frame(sock, received) == (PING, b"")
            wait_until(lambda: server.node.streams and not server.node.streams[0].output.empty())
            assert (select.select([sock], [], [], 0.05)[0], received) == ([], bytearray())
            sock.sendall(MASKED_PONG)
            assert [frame(sock, received)[1] for _ in range(3)] == [b"\1", b"\1\n", b"\2said\n"]

    def test_a_client_that_answers_no_ping_is_served_too(
        self, server: ServerThread, api: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streams_module, "PATIENCE", 0.01)
        with upgraded(server, command="echo") as (sock, received):
            assert [frame(sock, received)[1] for _ in range(3)] == [b"", b"\1", b"\1\n"]

    def test_a_ping_is_answered(self, server: ServerThread, api: ApiClient) -> None:
        with upgraded(server, command="cat", stdin="true") as (sock, received):
            sock.sendall(b"\x89\x82\0\0\0\0hi" + MASKED_PONG + b"\x89\x82\0\0\0\0ho")
            said = [frame(sock, received) for _ in range(4)]
            assert [data for code, data in said if code == PONG] == [b"hi", b"ho"]

    def test_a_lot_of_output_arrives_whole(self, api: ApiClient) -> None:
        with open_exec(api, "default", "web", ["flood", str(8 << 20)]) as streams:
            out, _, _ = everything(streams)
        assert len(out) == 8 << 20

    def test_what_cannot_start_says_why(self, api: ApiClient) -> None:
        with open_exec(api, "default", "web", ["fail", "exec /bin/nope: no such file"]) as streams:
            _, _, end = everything(streams)
        assert end.code == 127
        assert "exec /bin/nope: no such file" in end.message

    def test_what_the_node_refuses_is_said(self, api: ApiClient) -> None:
        with open_exec(api, "default", "web", ["refuse"]) as streams:
            assert everything(streams)[2] == StreamExit(1, "container app is not running")

    @pytest.mark.parametrize("command", ["break", "crash"])
    def test_what_breaks_inside_is_not_shown(self, api: ApiClient, command: str) -> None:
        with open_exec(api, "default", "web", [command]) as streams:
            end = everything(streams)[2]
        assert end.code == 1
        assert "Internal error occurred" in end.message
        assert "secret" not in end.message

    def test_a_node_that_is_lost_on_the_way_is_said(self, api: ApiClient) -> None:
        with open_exec(api, "default", "web", ["lose"]) as streams:
            assert "the container's streams broke off" in everything(streams)[2].message

    def test_hanging_up_ends_it(self, server: ServerThread, api: ApiClient) -> None:
        streams = open_exec(api, "default", "web", ["cat"], stdin=True)
        streams.write_stdin(b"x")
        assert streams.read() == ("stdout", b"x")
        streams.close()
        wait_until(lambda: server.node.streams[0].closed)

    def test_refusals_before_it_begins(self, api: ApiClient) -> None:
        def run(pod: str, *command: str, **options: Any) -> Any:
            return lambda: open_exec(api, "default", pod, command, **options)

        refused(run("web"), 400, "at least one command")
        refused(run("missing", "x"), 404, "not found")
        refused(run("nowhere", "x"), 400, "pod nowhere does not have a host assigned")
        refused(run("two", "x"), 400, "a container name must be specified")
        refused(run("web", "x", stdout=False, stderr=False), 400, "at least 1 of stdin, stdout, stderr")

    def test_plain_http_and_spdy_are_told_what_is_needed(self, server: ServerThread, api: ApiClient) -> None:
        path = f"{PODS}/web/exec"
        query: Query = {"command": "x", "stdout": True}
        refused(lambda: api.request("POST", path, query=query), 400, "Upgrade request required")
        connection = api.connect()
        spdy = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
        connection.request("POST", f"{path}?command=x&stdout=1", headers=spdy)
        response = connection.getresponse()
        assert response.status == 400
        assert b"not spdy/3.1" in response.read()
        connection.close()

    def test_a_node_that_is_not_there(self, api: ApiClient) -> None:
        with pytest.raises(StatusError) as error:
            open_exec(api, "default", "far", ["x"])
        assert error.value.code == 503


class TestAttach:
    def test_both_ways(self, server: ServerThread, api: ApiClient) -> None:
        with open_attach(api, "default", "web", stdin=True) as streams:
            streams.write_stdin(b"hello")
            assert streams.read() == ("stdout", b"hello")
            streams.close_stdin()
            assert everything(streams) == (b"", b"", StreamExit(0))
        assert server.node.requests == [
            StreamRequest(namespace="default", pod="web", container="app", stdin=True)
        ]


class TestNodeProxy:
    def test_requests_pass_through(self, server: ServerThread, api: ApiClient) -> None:
        answer = api.request("GET", "/api/v1/nodes/here/proxy/stats/summary", query={"a": "b"}, accept="*/*")
        assert answer == "GET /stats/summary {'a': 'b'} 0"
        assert isinstance(server.node.requests[0], ProxyRequest)

    def test_bodies_of_any_size_stream(self, api: ApiClient) -> None:
        chunks = [b"x" * (1 << 20)] * 8
        path = "/api/v1/nodes/here/proxy/images"
        with api.stream("POST", path, body=iter(chunks)) as stream:
            assert b"".join(stream) == b"POST /images {} %d" % (8 << 20)

    def test_a_refusal_is_heard_though_the_body_is_not(self, api: ApiClient) -> None:
        chunks = [b"x" * (1 << 20)] * 64
        with pytest.raises(StatusError, match='nodes "there" not found'):
            api.stream("POST", "/api/v1/nodes/there/proxy/images", body=iter(chunks))

    def test_errors_pass_through(self, api: ApiClient) -> None:
        refused(lambda: api.get("/api/v1/nodes/here/proxy/missing"), 404, 'images "missing" not found')
        refused(lambda: api.get("/api/v1/nodes/there/proxy/x"), 404, 'nodes "there" not found')
