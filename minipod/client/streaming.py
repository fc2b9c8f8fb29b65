"""exec and attach from the command line: Kubernetes' channels over a WebSocket (KEP-4006).

Each message is one channel byte and data: 0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 terminal size;
v5 adds 255: the channel named by the next byte is closed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlencode

from minipod.client.http import ApiClient, error_of, resource_path
from minipod.client.unix_http import pieces
from minipod.client.websocket import WebSocket, open_websocket

V4 = "v4.channel.k8s.io"
V5 = "v5.channel.k8s.io"
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_STREAMS: dict[int, Literal["stdout", "stderr"]] = {STDOUT: "stdout", STDERR: "stderr"}


@dataclass(frozen=True, slots=True)
class StreamExit:
    """How it ended. `code` is the process's own when it ran; 1 with a message when it did not or was cut off."""

    code: int
    message: str = ""


class RemoteStreams:
    """The near end of an exec or attach.

    One thread reads; write_stdin, close_stdin and resize may be called from others.
    """

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._ready: deque[tuple[Literal["stdout", "stderr"], bytes]] = deque()
        self._exit: StreamExit | None = None
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def receive(self) -> list[tuple[Literal["stdout", "stderr"], bytes]] | None:
        """The pieces of output that come next (blocks until something does; may be empty); None after the end."""
        if self._ended:
            return None
        try:
            messages = self._socket.receive()
        except OSError as error:
            self._exit = self._exit or StreamExit(1, f"the connection broke: {error}")
            messages = None
        if messages is None:
            self._ended = True
            return None
        return [piece for message in messages if (piece := self._take(message))]

    def read(self) -> tuple[Literal["stdout", "stderr"], bytes] | None:
        """The next piece of output; None after the end."""
        while not self._ready:
            pieces = self.receive()
            if pieces is None:
                return None
            self._ready.extend(pieces)
        return self._ready.popleft()

    def exit(self) -> StreamExit:
        """How it ended, once read() or receive() has returned None."""
        return self._exit or StreamExit(1, "the connection was closed before the command ended")

    def write_stdin(self, data: bytes) -> None:
        """Raises OSError when the connection is gone."""
        self._socket.send(bytes((STDIN,)) + data)

    def close_stdin(self) -> None:
        """The process reads end of file. Needs a server that speaks v5; with v4 nothing can say it."""
        if self._socket.protocol == V5:
            self._socket.send(bytes((CLOSE, STDIN)))

    def resize(self, width: int, height: int) -> None:
        """Columns and rows of the terminal."""
        self._socket.send(bytes((RESIZE,)) + json.dumps({"Width": width, "Height": height}).encode())

    def close(self) -> None:
        """Hang up: an exec'd process loses its streams, an attached container goes on."""
        self._socket.close()

    def _take(self, message: bytes) -> tuple[Literal["stdout", "stderr"], bytes] | None:
        channel, data = (message[0], message[1:]) if message else (STDOUT, b"")
        if channel == ERROR and data:
            self._exit = exit_of(json.loads(data))
        if channel in _STREAMS and data:
            return _STREAMS[channel], data
        return None


def open_exec(
    client: ApiClient,
    namespace: str,
    pod: str,
    command: Sequence[str],
    *,
    container: str = "",
    stdin: bool = False,
    stdout: bool = True,
    stderr: bool = True,
    tty: bool = False,
) -> RemoteStreams:
    """Start a command in a container (the pod's only one unless named). Raises StatusError, ApiUnreachableError."""
    pairs = _options(container, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
    pairs += [("command", word) for word in command]
    return _open(client, resource_path("pods", namespace, pod, "exec"), pairs)


def open_attach(
    client: ApiClient,
    namespace: str,
    pod: str,
    *,
    container: str = "",
    stdin: bool = False,
    stdout: bool = True,
    stderr: bool = True,
    tty: bool = False,
) -> RemoteStreams:
    """Attach to a container's own process. Raises StatusError, ApiUnreachableError."""
    pairs = _options(container, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
    return _open(client, resource_path("pods", namespace, pod, "attach"), pairs)


def exit_of(status: Any) -> StreamExit:
    """The final Status of an exec -> exit code: details.causes names it, also for a command that could not start."""
    if status.get("status") == "Success":
        return StreamExit(0)
    causes = (status.get("details") or {}).get("causes") or []
    code = next((cause.get("message") for cause in causes if cause.get("reason") == "ExitCode"), "")
    if code.isdigit():
        return StreamExit(int(code), status.get("message", ""))
    return StreamExit(1, status.get("message", "unknown error"))


def _options(container: str, **flags: bool) -> list[tuple[str, str]]:
    pairs = [(name, "true") for name, wanted in flags.items() if wanted]
    return [*pairs, ("container", container)] if container else pairs


def _open(client: ApiClient, path: str, pairs: list[tuple[str, str]]) -> RemoteStreams:
    connection = client.connect()
    with client.conversation(connection):
        socket, response = open_websocket(connection, f"{path}?{urlencode(pairs)}", (V5, V4))
        if socket is None:
            raise error_of(response, b"".join(pieces(response)))
    return RemoteStreams(socket)
