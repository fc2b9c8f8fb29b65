"""A whole API server in a thread of its own, with a node that answers as tests like it to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar

from minipod.api import errors
from minipod.api.scheme import RESOURCES
from minipod.apiserver.inprocess import LocalRequests
from minipod.apiserver.registry.registry import Registry
from minipod.apiserver.server import ApiServer, TcpListener, UnixListener
from minipod.apiserver.users import anyone
from minipod.client.http import ApiClient
from minipod.client.inprocess import InProcessClient
from minipod.client.node import (
    LogRequest,
    ProcessExit,
    ProcessStreams,
    ProxyRequest,
    ProxyResponse,
    StreamRequest,
)
from minipod.storage.store import Store

T = TypeVar("T")


class FakeStreams:
    """A process that repeats its input in capitals until the input ends; `script` may say more."""

    def __init__(self, script: Callable[[FakeStreams], Coroutine[Any, Any, ProcessExit]]) -> None:
        self.input: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.output: asyncio.Queue[tuple[Literal["stdout", "stderr"], bytes] | None] = asyncio.Queue()
        self.sizes: list[tuple[int, int]] = []
        self.closed = False
        self._task = asyncio.create_task(self._run(script))

    async def _run(self, script: Callable[[FakeStreams], Coroutine[Any, Any, ProcessExit]]) -> ProcessExit:
        try:
            return await script(self)
        finally:
            self.output.put_nowait(None)

    async def read(self) -> tuple[Literal["stdout", "stderr"], bytes] | None:
        return await self.output.get()

    async def write_stdin(self, data: bytes) -> None:
        self.input.put_nowait(data)

    async def close_stdin(self) -> None:
        self.input.put_nowait(None)

    async def resize(self, width: int, height: int) -> None:
        self.sizes.append((width, height))
        self.output.put_nowait(("stdout", f"{width}x{height}\n".encode()))

    async def wait(self) -> ProcessExit:
        return await self._task

    async def close(self) -> None:
        self.closed = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def run_command(streams: FakeStreams, command: tuple[str, ...]) -> ProcessExit:
    """echo WORDS, cat, exit CODE, fail TEXT, crash, lose, flood BYTES."""
    match command:
        case ("echo", *words):
            streams.output.put_nowait(("stdout", " ".join(words).encode() + b"\n"))
            streams.output.put_nowait(("stderr", b"said\n"))
        case ("cat",):
            while (data := await streams.input.get()) is not None:
                streams.output.put_nowait(("stdout", data))
        case ("exit", code):
            return ProcessExit(int(code))
        case ("fail", text):
            return ProcessExit(127, message=text)
        case ("crash",):
            raise RuntimeError("a secret of the inside")
        case ("lose",):
            raise ConnectionResetError("the pod's shim is gone")
        case ("flood", size):
            for _ in range(int(size) // 65536):
                streams.output.put_nowait(("stdout", b"x" * 65536))
    return ProcessExit(0)


class FakeNode:
    """A NodeConnection."""

    def __init__(self) -> None:
        self.requests: list[StreamRequest | LogRequest | ProxyRequest] = []
        self.streams: list[FakeStreams] = []
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.log_closed = threading.Event()

    def forget(self) -> None:
        """As if nothing had been asked yet."""
        self.requests.clear()
        self.streams.clear()
        self.log_closed.clear()

    async def exec(self, request: StreamRequest) -> ProcessStreams:
        self.requests.append(request)
        if request.command == ("refuse",):
            raise errors.bad_request(f"container {request.container} is not running")
        if request.command == ("break",):
            raise RuntimeError("a secret of the inside")
        self.streams.append(FakeStreams(lambda s: run_command(s, request.command)))
        return self.streams[-1]

    async def attach(self, request: StreamRequest) -> ProcessStreams:
        self.requests.append(request)
        self.streams.append(FakeStreams(lambda s: run_command(s, ("cat",))))
        return self.streams[-1]

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        self.requests.append(request)
        if request.previous:
            raise errors.bad_request(f"previous terminated container {request.container} not found")
        return self._lines(request.follow, breaks=request.tail_lines == 13)

    async def _lines(self, follow: bool, *, breaks: bool) -> AsyncIterator[bytes]:
        try:
            yield b"one\n"
            if breaks:
                raise RuntimeError("a secret of the inside")
            yield b"two\n"
            while follow and (line := await self.lines.get()) is not None:
                yield line
        finally:
            self.log_closed.set()

    async def proxy(self, request: ProxyRequest) -> ProxyResponse:
        size = 0
        if request.body:
            async for chunk in request.body:
                size += len(chunk)
        self.requests.append(request)
        if request.path == "/missing":
            raise errors.not_found("images", "missing")
        words = f"{request.method} {request.path} {dict(request.query)} {size}"
        return ProxyResponse(status=200, body=words.encode(), content_type="text/plain")


class ServerThread:
    """Sockets in `directory`, and a plain TCP port on the loopback interface for clients that want one."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "minipod.sock"
        self.directory = directory
        self.node = FakeNode()
        self.loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="test-server")
        self._problem: BaseException | None = None
        self.port = 0

    def __enter__(self) -> ServerThread:
        self._thread.start()
        self._started.wait(10)
        if self._problem:
            raise self._problem
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def client(self, warnings: list[str] | None = None) -> ApiClient:
        return ApiClient(
            str(self.socket), timeout=10, on_warning=None if warnings is None else warnings.append
        )

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._serve())
        except BaseException as problem:
            self._problem = problem
            self._started.set()
        finally:
            self.loop.close()

    async def _serve(self) -> None:
        self.store = Store(self.directory / "state.db", RESOURCES)
        await self.store.start()
        self.registry = Registry(self.store)
        await self.registry.start()
        self.local = InProcessClient(LocalRequests(self.registry))
        self.server = ApiServer(self.registry, {"here": self.node})
        await self.server.start([UnixListener(self.socket), TcpListener("127.0.0.1", 0, anyone)])
        self.port = self.server.ports[0]
        self.server.ready = True
        self._started.set()
        await self._stop.wait()
        await self.server.stop()
        await self.registry.stop()
        await self.store.close()
