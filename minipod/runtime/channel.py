"""The talk between daemon, spawner and shims: a closed list of named messages, some with file descriptors.

A frame is 4 bytes length, 1 byte number of descriptors, then JSON {"type", "serial", "fields"}. A reply bears its
request's serial; an event bears 0. Whoever receives says which messages it accepts: any other one is a ProtocolError.
Descriptors given to send() belong to the channel; received ones belong to whoever gets the message.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minipod.runtime import wire
from minipod.runtime.errors import ProtocolError
from minipod.runtime.types import (
    ContainerConfig,
    ContainerStatus,
    ExecConfig,
    ProcessExit,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
    StartFailure,
)

VERSION = 2

MAX_FRAME = 16 * 1024 * 1024
MAX_FDS = 8
_HEADER = struct.Struct(">IB")
_CHUNK = 256 * 1024
_CLOEXEC, _TRUNCATED = int(socket.MSG_CMSG_CLOEXEC), int(socket.MSG_CTRUNC)
_CMSG_SPACE = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)


class Message:
    """Base of all messages, so that a signature can ask for one."""

    __slots__ = ()


# -- daemon to spawner -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MakeShim(Message):
    """Fork a shim that makes this sandbox. One descriptor goes along: the shim's end of its first connection.

    `directory` is the pod's run directory, `cgroup_root` the cgroup2 mount, below which config.cgroup is.
    """

    config: SandboxConfig
    directory: Path
    cgroup_root: Path
    created_at: int
    log_max_bytes: int
    log_max_files: int
    log_journal: bool = False
    """Whether what containers write goes to systemd's journal, too."""


# -- daemon to shim ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """The first message on a connection to shim.sock."""

    version: int


@dataclass(frozen=True, slots=True)
class StopSandbox(Message):
    """Kill everything; answered once all is dead and on record."""


@dataclass(frozen=True, slots=True)
class EndShim(Message):
    """StopSandbox, then end; the answer is the shim's last word."""


@dataclass(frozen=True, slots=True)
class CreateContainer(Message):
    config: ContainerConfig


@dataclass(frozen=True, slots=True)
class StartContainer(Message):
    """Answered once the container's own code runs, or could not be run."""

    container_id: str


@dataclass(frozen=True, slots=True)
class SignalContainer(Message):
    container_id: str
    signum: int


@dataclass(frozen=True, slots=True)
class KillContainer(Message):
    container_id: str


@dataclass(frozen=True, slots=True)
class RemoveContainer(Message):
    container_id: str


@dataclass(frozen=True, slots=True)
class UpdateContainer(Message):
    """Write these files of the container's cgroup, and merge the labels into its own."""

    container_id: str
    files: Mapping[str, str]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class UpdateSandbox(Message):
    """Write these files of the pod's own cgroup."""

    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Exec(Message):
    container_id: str
    config: ExecConfig


@dataclass(frozen=True, slots=True)
class Attach(Message):
    container_id: str
    stdin: bool


@dataclass(frozen=True, slots=True)
class CloseStdin(Message):
    """An attached client has no more input (ends the container's stdin when it is stdinOnce)."""

    streams_id: int


@dataclass(frozen=True, slots=True)
class CloseStreams(Message):
    """The near end of an exec or attach is gone."""

    streams_id: int


# -- shim to daemon ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """The answer to Hello, and a new shim's first message: its pidfd goes along."""

    version: int
    sandbox: SandboxStatus


@dataclass(frozen=True, slots=True)
class Done(Message):
    """The request was carried out; what it changed was sent before, as events."""


@dataclass(frozen=True, slots=True)
class StreamsOpened(Message):
    """`roles` names the descriptors that go along, in order: stdin, stdout, stderr, tty."""

    streams_id: int
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused(Message):
    """`error` is the name of a class in errors.py."""

    error: str
    message: str
    failure: StartFailure | None = None


@dataclass(frozen=True, slots=True)
class SandboxChanged(Message):
    state: SandboxState
    infra_pid: int
    resources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ContainerChanged(Message):
    container: ContainerStatus


@dataclass(frozen=True, slots=True)
class ContainerRemoved(Message):
    container_id: str


@dataclass(frozen=True, slots=True)
class StreamsEnded(Message):
    """The exec'd process, or the attached container, has ended."""

    streams_id: int
    exit: ProcessExit


@dataclass(frozen=True, slots=True)
class Trouble(Message):
    """Something a person should read in the daemon's log."""

    message: str


TO_SPAWNER: tuple[type[Message], ...] = (MakeShim,)
TO_SHIM: tuple[type[Message], ...] = (
    Hello,
    StopSandbox,
    EndShim,
    CreateContainer,
    StartContainer,
    SignalContainer,
    KillContainer,
    RemoveContainer,
    UpdateContainer,
    UpdateSandbox,
    Exec,
    Attach,
    CloseStdin,
    CloseStreams,
)
TO_DAEMON: tuple[type[Message], ...] = (
    Welcome,
    Done,
    StreamsOpened,
    Refused,
    SandboxChanged,
    ContainerChanged,
    ContainerRemoved,
    StreamsEnded,
    Trouble,
)


@dataclass(frozen=True, slots=True)
class Received:
    serial: int
    message: Message
    fds: tuple[int, ...] = ()


class Channel:
    """One end of a connection. Never blocks; the owner watches the socket and calls receive() and flush()."""

    def __init__(self, sock: socket.socket, accepts: Sequence[type[Message]]) -> None:
        sock.setblocking(False)
        self.socket = sock
        self._accepts = {cls.__name__: cls for cls in accepts}
        self._buffer = bytearray()
        self._fds: deque[int] = deque()
        self._queue: deque[tuple[bytes | memoryview, tuple[int, ...]]] = deque()
        self.backlog = 0
        """Bytes that wait for the peer to read."""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: Message, *, serial: int = 0, fds: tuple[int, ...] = ()) -> None:
        """Send now what the socket takes and keep the rest.

        Raises OSError when the peer is gone, ProtocolError for a message that no peer would take.
        """
        body = wire.encode({"type": type(message).__name__, "serial": serial, "fields": message})
        if len(body) > MAX_FRAME:
            raise ProtocolError(
                f"{type(message).__name__} of {len(body)} bytes: at most {MAX_FRAME} can be sent"
            )
        self._queue.append((_HEADER.pack(len(body), len(fds)) + body, fds))
        self.backlog += _HEADER.size + len(body)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._queue:
            data, fds = self._queue[0]
            try:
                sent = self.socket.sendmsg([data], _rights(fds))
            except BlockingIOError:
                return
            for fd in fds:
                os.close(fd)
            self.backlog -= sent
            if sent == len(data):
                self._queue.popleft()
            else:
                self._queue[0] = (memoryview(data)[sent:], ())

    def receive(self) -> Iterator[Received]:
        """Every message that has arrived, until there is none or the channel is closed.

        Raises EOFError at the end, ProtocolError, OSError.
        """
        while self.fileno() >= 0:
            try:
                data, ancillary, flags, _ = self.socket.recvmsg(_CHUNK, _CMSG_SPACE, _CLOEXEC)
            except BlockingIOError:
                return
            self._fds.extend(_descriptors(ancillary))
            if flags & _TRUNCATED:
                raise ProtocolError("more file descriptors than a message may carry")
            if not data:
                raise EOFError
            self._buffer += data
            yield from self._frames()

    def close(self) -> None:
        self.socket.close()
        for fd in self._fds:
            os.close(fd)
        for _, fds in self._queue:
            for fd in fds:
                os.close(fd)
        self._fds.clear()
        self._queue.clear()

    def _frames(self) -> Iterator[Received]:
        while len(self._buffer) >= _HEADER.size:
            length, count = _HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME or count > MAX_FDS:
                raise ProtocolError(f"frame of {length} bytes with {count} descriptors")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            if len(self._fds) < count:
                raise ProtocolError(f"{count} descriptors announced, {len(self._fds)} came")
            serial, message = self._message(bytes(self._buffer[_HEADER.size : end]))
            del self._buffer[:end]
            yield Received(serial, message, tuple(self._fds.popleft() for _ in range(count)))

    def _message(self, body: bytes) -> tuple[int, Message]:
        envelope = wire.parse(body)
        if not isinstance(envelope, dict) or envelope.keys() != {"type", "serial", "fields"}:
            raise ProtocolError("not a message")
        name, serial = envelope["type"], envelope["serial"]
        cls = self._accepts.get(name) if isinstance(name, str) else None
        if cls is None or type(serial) is not int:
            raise ProtocolError(f"unexpected message {name!r}")
        return serial, wire.decode(cls, envelope["fields"])


def _rights(fds: tuple[int, ...]) -> list[tuple[int, int, array.array[int]]]:
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> Iterator[int]:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds = array.array("i")
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
            yield from fds
