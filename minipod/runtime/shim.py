"""The shim: one small process per pod that is parent and reaper of everything in it and outlives every daemon.

It lives in the host's pid and network namespaces, in a mount namespace of its own, in the pod's cgroup leaf "shim".
Daemons talk to it by shim.sock (the first one by the socket the shim was born with); what they are told is also on
disk (state.py). It sleeps unless something happens, and no peer and no container can make it end.
"""

from __future__ import annotations

import os
import socket
import traceback
from typing import NoReturn

from minipod.linux import prctl, process
from minipod.runtime import launch
from minipod.runtime.channel import (
    VERSION,
    Attach,
    Channel,
    CloseStdin,
    CloseStreams,
    CreateContainer,
    Done,
    EndShim,
    Exec,
    Hello,
    KillContainer,
    MakeShim,
    Message,
    Received,
    Refused,
    RemoveContainer,
    SignalContainer,
    StartContainer,
    StopSandbox,
    Trouble,
    UpdateContainer,
    UpdateSandbox,
    Welcome,
)
from minipod.runtime.children import failure_of
from minipod.runtime.connection import Connection, Request
from minipod.runtime.errors import ProtocolError, RuntimeServiceError, SandboxError
from minipod.runtime.launcher import Launcher
from minipod.runtime.listener import Listener
from minipod.runtime.poller import Poller
from minipod.runtime.sandbox import Sandbox
from minipod.runtime.session import AttachSession, ExecSession
from minipod.runtime.state import SHIM_LOG

NAME = "minipod-shim"
MAX_CONNECTIONS = 16
MAX_LOG = 256 * 1024


class Shim:
    """The event loop's owner: connections, and the translation of messages into verbs."""

    def __init__(self, message: MakeShim, first: socket.socket, launcher: Launcher = launch) -> None:
        self.poller = Poller(self._on_error)
        self.connections: set[Connection] = set()
        self.sandbox = Sandbox(
            message,
            poller=self.poller,
            launcher=launcher,
            publish=self.publish,
            trouble=self.trouble,
            on_error=self._on_error,
        )
        self._directory = message.directory
        self._next_streams = 0
        self._listener = Listener(self.poller, self._connected, self.trouble)
        self._first = Connection(first, self, admitted=True)
        self.connections.add(self._first)

    def run(self) -> None:
        # The infra process gets ready while the rest is done here: what comes first is what it needs.
        self.sandbox.make(self._made)
        try:
            self._listener.open(self._directory)
        except OSError as error:
            self.sandbox.give_up(failure_of("listen", error))
        self.poller.run()

    def publish(self, message: Message) -> None:
        for connection in list(self.connections):
            if connection.informed:
                connection.send(message)

    def trouble(self, message: str) -> None:
        """A sentence for the daemon's log; in shim.log as well, for the time nobody listens."""
        write_log(self._directory, message)
        self.publish(Trouble(message))

    def handle(self, connection: Connection, received: Received) -> None:
        request = Request(connection, received.serial)
        for fd in received.fds:
            os.close(fd)  # no message to a shim brings any
        try:
            self._dispatch(connection, request, received.message)
        except RuntimeServiceError as error:
            request.refuse(error)
        except OSError as error:
            request.refuse(RuntimeServiceError(f"{type(received.message).__name__}: {error}"))
        except Exception as error:
            self._on_error(error)
            request.refuse(RuntimeServiceError(f"{type(received.message).__name__}: {error!r}"))

    def _dispatch(self, connection: Connection, request: Request, message: Message) -> None:
        sandbox = self.sandbox
        if not connection.admitted and not isinstance(message, Hello):
            raise ProtocolError(f"{type(message).__name__} before Hello")
        match message:
            case Hello():
                self._greet(connection, request, message)
            case CreateContainer():
                sandbox.create_container(message.config)
                request.answer(Done())
            case StartContainer():
                sandbox.container(message.container_id).start(request.finish)
            case SignalContainer():
                sandbox.container(message.container_id).signal(message.signum)
                request.answer(Done())
            case KillContainer():
                sandbox.container(message.container_id).kill()
                request.answer(Done())
            case RemoveContainer():
                sandbox.remove_container(message.container_id, request.finish)
            case UpdateContainer():
                sandbox.container(message.container_id).update(message.files, message.labels)
                request.answer(Done())
            case UpdateSandbox():
                sandbox.update(message.files)
                request.answer(Done())
            case Exec():
                self._exec(connection, request, message)
            case Attach():
                self._attach(connection, request, message)
            case CloseStdin():
                if session := connection.sessions.get(message.streams_id):
                    session.close_stdin()
            case CloseStreams():
                if session := connection.sessions.pop(message.streams_id, None):
                    session.close()
            case StopSandbox():
                sandbox.stop(request.finish)
            case EndShim():
                sandbox.stop(lambda error: self._end(request, error))
            case _:
                raise ProtocolError(f"unexpected message {type(message).__name__}")

    # -- verbs that concern connections ------------------------------------------------------------------------------

    def _greet(self, connection: Connection, request: Request, message: Hello) -> None:
        if message.version != VERSION:
            raise ProtocolError(f"this shim speaks version {VERSION} of the protocol, not {message.version}")
        self._welcome(connection, request)

    def _welcome(self, connection: Connection, request: Request) -> None:
        """Tell all there is, and from now on all that happens."""
        connection.admitted = connection.informed = True
        request.answer(Welcome(VERSION, self.sandbox.status), (os.pidfd_open(os.getpid()),))

    def _exec(self, connection: Connection, request: Request, message: Exec) -> None:
        container = self.sandbox.container(message.container_id)
        session = ExecSession(self._new_streams(), container, connection, request)
        connection.sessions[self._next_streams] = session
        try:
            session.start(message.config, self.sandbox.launcher, self.sandbox.children)
        except RuntimeServiceError:
            connection.session_ended(self._next_streams)
            raise

    def _attach(self, connection: Connection, request: Request, message: Attach) -> None:
        session = AttachSession(
            self._new_streams(), self.sandbox.container(message.container_id), connection
        )
        session.start(stdin=message.stdin, request=request, poller=self.poller)
        connection.sessions[self._next_streams] = session

    def _new_streams(self) -> int:
        self._next_streams += 1
        return self._next_streams

    # -- birth and end -----------------------------------------------------------------------------------------------

    def _made(self, error: RuntimeServiceError | None) -> None:
        request = Request(self._first, 0)
        if error is None:
            self._welcome(self._first, request)
        else:
            self._end(request, error)

    def _end(self, request: Request, error: RuntimeServiceError | None) -> None:
        """Leave nothing but the cgroup this shim itself is in, say so, and end."""
        try:
            self.sandbox.release()
        except OSError as problem:
            error = error or RuntimeServiceError(f"cannot remove the cgroups of the sandbox: {problem}")
        request.finish(error)
        self._listener.close()
        for connection in list(self.connections):
            connection.flush_and_close()
        self.poller.stop()

    def _connected(self, sock: socket.socket) -> None:
        if len(self.connections) < MAX_CONNECTIONS:
            self.connections.add(Connection(sock, self))
        else:
            sock.close()

    def _on_error(self, error: Exception) -> None:
        self.trouble("".join(traceback.format_exception(error)))


def write_log(directory: os.PathLike[str], message: str) -> None:
    """Append to the sandbox's shim.log, as far as there is room: it lies in memory."""
    try:
        with open(os.path.join(directory, SHIM_LOG), "ab", buffering=0) as file:
            if file.tell() < MAX_LOG:
                file.write(message.encode(errors="replace")[:MAX_LOG] + b"\n")
    except OSError:
        pass


def main(message: MakeShim, connection_fd: int, kept: tuple[int, ...] = ()) -> NoReturn:
    """The whole life of a process just cloned from the spawner, of whose descriptors it keeps some. Never returns."""
    code = 1
    try:
        sock = _detach(connection_fd, kept)
        process.set_title(
            f"minipod shim {message.config.namespace}/{message.config.name} {message.config.uid}"
        )
        try:
            launch.enter_private_mounts()
            shim = Shim(message, sock)
        except OSError as error:
            failure = failure_of("start shim", error)
            refused = Refused(SandboxError.__name__, failure.message, failure)
            Channel(sock, ()).send(refused)
        else:
            shim.run()
            code = 0
    except BaseException:
        write_log(message.directory, traceback.format_exc())
    finally:
        os._exit(code)


def _detach(connection_fd: int, kept: tuple[int, ...]) -> socket.socket:
    """Nothing of the spawner and the daemon stays: descriptors, session, working directory.

    Signals are ignored as the spawner ignores them; a shim ends when it is told to, or by SIGKILL.
    """
    first = 3
    for fd in sorted((connection_fd, *kept)):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, 1 << 30)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    prctl.set_child_subreaper()
    prctl.set_name(NAME)
    return socket.socket(fileno=connection_fd)
