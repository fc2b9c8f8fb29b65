"""What an API server asks of a node: logs, exec, attach and the node's own pages (nodes/NAME/proxy).

The kubelet implements NodeConnection, the API server calls it, daemon.py joins the two; neither imports the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from minipod.runtime.types import ProcessExit as ProcessExit


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """An exec (with a command) or an attach (without) to one container."""

    namespace: str
    pod: str
    container: str = ""
    command: tuple[str, ...] = ()
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    namespace: str
    pod: str
    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    since_time: str = ""
    limit_bytes: int | None = None


class ProcessStreams(Protocol):
    """The near end of an exec or attach."""

    async def read(self) -> tuple[Literal["stdout", "stderr"], bytes] | None:
        """The next piece of output; None once all output streams have ended."""

    async def write_stdin(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> ProcessExit: ...

    async def close(self) -> None:
        """Let go: an exec'd process gets its streams closed (and SIGHUP on a tty); an attached container goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """A request for nodes/NAME/proxy/<path>; `body` streams."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: AsyncIterator[bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyResponse:
    status: int
    body: bytes
    content_type: str = "application/json"


class NodeConnection(Protocol):
    """Methods raise minipod.api.errors.StatusError (404 no such pod, 400 container not running, ...)."""

    async def exec(self, request: StreamRequest) -> ProcessStreams: ...

    async def attach(self, request: StreamRequest) -> ProcessStreams: ...

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        """Check the request at once (raise), then hand back the stream."""

    async def proxy(self, request: ProxyRequest) -> ProxyResponse: ...
