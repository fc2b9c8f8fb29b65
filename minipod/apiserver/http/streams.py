"""exec and attach over WebSocket (KEP-4006): Kubernetes' channels on one side, a node's streams on the other.

Each message is a channel byte and data: 0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 terminal size; in v5 the
client may say with 255 and a channel's byte that this channel has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from aiohttp import WSMessage, WSMsgType, web

from minipod.api import codec, errors
from minipod.api.errors import StatusError
from minipod.api.meta_v1 import Status, StatusCause, StatusDetails
from minipod.apiserver.http import containers
from minipod.apiserver.http.call import Call
from minipod.client.node import ProcessExit, ProcessStreams, StreamRequest

log = logging.getLogger(__name__)

V5 = "v5.channel.k8s.io"
V4 = "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_CHANNELS = {"stdout": STDOUT, "stderr": STDERR}

PATIENCE = 0.25
"""Seconds a client may take to answer a ping before it is taken for one that never will."""
SETTLING = 0.005
"""Seconds between a client's first sign of life and the first message to it."""

Open: TypeAlias = Callable[[], Awaitable[ProcessStreams]]


async def exec_(call: Call) -> web.StreamResponse:
    request, node = _stream_request(call)
    if not request.command:
        raise errors.bad_request("you must specify at least one command for the container")
    connection = call.node(node)
    return await _serve(call, lambda: connection.exec(request), exec_status)


async def attach(call: Call) -> web.StreamResponse:
    request, node = _stream_request(call)
    connection = call.node(node)
    # Whoever attached has seen the container end; how it ended is in the pod's status.
    return await _serve(call, lambda: connection.attach(request), lambda _: Status(status="Success"))


def exec_status(exit_: ProcessExit) -> Status:
    """What clients take an exit code from."""
    if exit_.code == 0 and not exit_.message:
        return Status(status="Success")
    details = StatusDetails(causes=[StatusCause(reason="ExitCode", message=str(exit_.code))])
    if exit_.message:
        message = f"Internal error occurred: error executing command in container: {exit_.message}"
        return Status(status="Failure", reason="InternalError", message=message, details=details, code=500)
    message = f"command terminated with non-zero exit code: exit status {exit_.code}"
    return Status(status="Failure", reason="NonZeroExitCode", message=message, details=details)


def _stream_request(call: Call) -> tuple[StreamRequest, str]:
    """What is asked, and of which node. Raises StatusError 400 and 404."""
    info = call.info
    found = containers.find(call)
    if not found.node:
        raise errors.bad_request(f"pod {info.name} does not have a host assigned")
    request = StreamRequest(
        namespace=info.namespace,
        pod=info.name,
        container=found.container,
        command=tuple(info.query.get("command", ())),
        stdin=info.flag("stdin"),
        stdout=info.flag("stdout"),
        stderr=info.flag("stderr"),
        tty=info.flag("tty"),
    )
    if not (request.stdin or request.stdout or request.stderr):
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return request, found.node


async def _serve(call: Call, open_: Open, final: Callable[[ProcessExit], Status]) -> web.StreamResponse:
    """Upgrade, then connect the two sides.

    In this order, because a client that is refused before the upgrade believes that it was the protocol that was
    refused, and tries another.
    """
    upgrade = call.request.headers.get("Upgrade", "").lower()
    if upgrade != "websocket":
        wanted = f", not {upgrade}" if upgrade else ""
        raise errors.bad_request(
            f"Upgrade request required: this server speaks WebSocket ({V5}, {V4}){wanted}"
        )
    socket = web.WebSocketResponse(protocols=(V5, V4), autoping=False)
    try:
        await socket.prepare(call.request)
    except web.HTTPException as error:
        raise errors.bad_request(f"cannot upgrade to WebSocket: {error.text or error.reason}") from None
    meeting = asyncio.create_task(_meet(socket), name="stream-meeting")
    try:
        streams = await _opened(open_)
    except StatusError as error:
        await meeting
        await _finish(socket, error.to_status())
        return socket
    except BaseException:
        await _end(meeting)
        raise
    try:
        await _Session(socket, streams, await meeting).run(final, stdout=call.info.flag("stdout"))
    finally:
        await _end(meeting)
        await streams.close()
    return socket


async def _opened(open_: Open) -> ProcessStreams:
    """Raises StatusError for whatever goes wrong."""
    try:
        return await open_()
    except StatusError:
        raise
    except Exception as error:
        log.exception("cannot open streams")
        raise errors.internal_error("cannot open the container's streams") from error


async def _meet(socket: web.WebSocketResponse) -> list[WSMessage]:
    """Wait until the client can take messages; what it has said meanwhile.

    client-go (as in kubectl 1.32) starts to read before it has registered the channels, and drops a message for one
    it does not know yet: were all sent with the handshake, it would lose the output or the exit code ("Unknown stream
    id 3, discarding message"). kube-apiserver never is that fast, it has to dial a kubelet first. So: a ping, whose
    answer proves that the client reads, and a little time for what it does beside. Streams are opened meanwhile.
    """
    early: list[WSMessage] = []
    with suppress(TimeoutError, ConnectionError):
        await socket.ping()
        async with asyncio.timeout(PATIENCE):
            while not early and (message := await socket.receive()).type is not WSMsgType.PONG:
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                else:
                    early.append(message)
    await asyncio.sleep(SETTLING)
    return early


class _Session:
    """Carries bytes both ways until the process has ended or the client has gone."""

    def __init__(
        self, socket: web.WebSocketResponse, streams: ProcessStreams, early: Sequence[WSMessage]
    ) -> None:
        self._socket = socket
        self._streams = streams
        self._early = early

    async def run(self, final: Callable[[ProcessExit], Status], *, stdout: bool) -> None:
        # An empty message tells clients that the other end is connected (as kube-apiserver does).
        await self._socket.send_bytes(bytes((STDOUT if stdout else STDERR,)))
        listening = asyncio.create_task(self._listen(), name="stream-input")
        speaking = asyncio.create_task(self._speak(), name="stream-output")
        try:
            await asyncio.wait((listening, speaking), return_when=asyncio.FIRST_COMPLETED)
            if speaking.done():
                await _end(listening)  # or it would take what the closing handshake waits for
                await _finish(self._socket, _last_words(speaking, final))
        finally:
            await _end(listening)
            await _end(speaking)

    async def _speak(self) -> ProcessExit:
        while (piece := await self._streams.read()) is not None:
            name, data = piece
            await self._socket.send_bytes(bytes((_CHANNELS[name],)) + data)
        return await self._streams.wait()

    async def _listen(self) -> None:
        """Returns when the client has gone."""
        for message in self._early:
            await self._hear(message)
        async for message in self._socket:
            await self._hear(message)

    async def _hear(self, message: WSMessage) -> None:
        if message.type is WSMsgType.PING:
            await self._socket.pong(message.data)
        elif message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
            data: bytes = message.data if isinstance(message.data, bytes) else message.data.encode()
            if data:
                await self._take(data[0], data[1:])

    async def _take(self, channel: int, data: bytes) -> None:
        try:
            if channel == STDIN and data:
                await self._streams.write_stdin(data)
            elif channel == RESIZE:
                size = _size(data)
                if size:
                    await self._streams.resize(*size)
            elif channel == CLOSE and data[:1] == bytes((STDIN,)) and self._socket.ws_protocol == V5:
                await self._streams.close_stdin()
        except (StatusError, OSError) as error:
            # A process that no longer reads its input is no reason to lose its output.
            log.debug("cannot pass on input: %s", error)


def _last_words(speaking: asyncio.Task[ProcessExit], final: Callable[[ProcessExit], Status]) -> Status:
    try:
        return final(speaking.result())
    except StatusError as error:
        return error.to_status()
    except ConnectionError as error:  # the client's, then nobody will hear it, or the node's
        return errors.internal_error(f"the container's streams broke off: {error}").to_status()
    except Exception:
        log.exception("a container's streams failed")
        return errors.internal_error("the container's streams failed, the daemon's log says why").to_status()


def _size(data: bytes) -> tuple[int, int] | None:
    """{"Width": columns, "Height": rows}; None for nonsense."""
    try:
        found: Any = codec.parse(data)
        width, height = int(found["Width"]), int(found["Height"])
    except (StatusError, KeyError, TypeError, ValueError):
        return None
    return (width, height) if 0 < width < 1 << 16 and 0 < height < 1 << 16 else None


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _finish(socket: web.WebSocketResponse, status: Status) -> None:
    try:
        await socket.send_bytes(bytes((ERROR,)) + codec.encode(status))
        await socket.close()
    except ConnectionError:
        pass  # nobody is there to hear it
