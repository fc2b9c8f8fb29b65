"""Execs and attaches, on the shim's side: streams whose near ends go to the daemon as file descriptors.

The bytes of an exec never pass through the shim. A session belongs to the connection that asked for it and is closed
with it, so a daemon that is killed hangs up on its clients' processes as it would have done itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from minipod.linux.cgroup2 import cgroup
from minipod.runtime.channel import Message, StreamsEnded, StreamsOpened
from minipod.runtime.children import Child, Children, close_all, failure_of, now_us
from minipod.runtime.container import Container, kill_leaf
from minipod.runtime.errors import RuntimeServiceError, StartError, WrongStateError
from minipod.runtime.host_devices import open_null
from minipod.runtime.launcher import Launcher
from minipod.runtime.poller import Poller
from minipod.runtime.pump import Tap
from minipod.runtime.types import ExecConfig, ProcessExit, StartFailure


class Request(Protocol):
    """A request to answer, once."""

    def answer(self, message: Message, fds: tuple[int, ...] = ()) -> None: ...

    def refuse(self, error: RuntimeServiceError) -> None: ...


class Owner(Protocol):
    """The connection that asked."""

    def send(self, message: Message) -> None: ...

    def session_ended(self, streams_id: int) -> None: ...


class ExecSession:
    """One more process in a running container, in a cgroup of its own below the container's."""

    def __init__(self, streams_id: int, container: Container, owner: Owner, request: Request) -> None:
        self._id = streams_id
        self._container = container
        self._owner = owner
        self._request = request
        self._near: dict[str, int] = {}
        self._child: Child | None = None
        self._group: Path | None = None
        self._tty = False

    def start(self, config: ExecConfig, launcher: Launcher, children: Children) -> None:
        """Launch; the request is answered later, also when the launch fails at once."""
        target = self._container.process_to_join()
        self._tty = config.tty
        far: tuple[int, int, int] | None = None
        try:
            far = None if config.tty else self._pipes(config)
            self._group = self._container.exec_groups.make()
            group_fd = cgroup.directory_fd(self._group)
            try:
                launched = launcher.launch_exec(config.process, target.pidfd, cgroup_fd=group_fd, stdio=far)
            finally:
                os.close(group_fd)
        except StartError as error:
            self.failed(error.failure, now_us())
            return
        except OSError as error:
            self.failed(failure_of("exec", error), now_us())
            return
        finally:
            close_all(far or ())
        self._child = children.add(launched, self)

    def close_stdin(self) -> None:
        """Nothing to do: the daemon holds the only near end."""

    def close(self) -> None:
        """The near end is gone. A terminal hangs up by itself; without one, all that the exec started is killed."""
        if self._group is not None and not self._tty:
            kill_leaf(self._group)

    def started(self, at: int) -> None:  # noqa: ARG002
        if self._child is not None and self._child.console >= 0:
            self._near = {"tty": self._child.console}
            self._child.console = -1
        near, self._near = self._near, {}
        self._request.answer(StreamsOpened(self._id, tuple(near)), tuple(near.values()))

    def ended(self, code: int, signum: int, at: int) -> None:  # noqa: ARG002
        self._gone()
        self._owner.send(StreamsEnded(self._id, ProcessExit(code, signum)))
        self._owner.session_ended(self._id)

    def failed(self, failure: StartFailure, at: int) -> None:  # noqa: ARG002
        self._gone()
        close_all(self._near.values())
        self._near = {}
        self._request.refuse(StartError(failure))
        self._owner.session_ended(self._id)

    def _gone(self) -> None:
        self._child = None
        group, self._group = self._group, None
        if group is not None:
            self._container.exec_groups.ended(group)

    def _pipes(self, config: ExecConfig) -> tuple[int, int, int]:
        """The process's ends of its streams; the others go to `_near`."""
        ends: list[int] = []
        try:
            for name, wanted in (
                ("stdin", config.stdin),
                ("stdout", config.stdout),
                ("stderr", config.stderr),
            ):
                if not wanted:
                    ends.append(open_null(os.O_RDWR))
                    continue
                read, write = os.pipe2(os.O_CLOEXEC)
                far, self._near[name] = (read, write) if name == "stdin" else (write, read)
                ends.append(far)
        except OSError:
            close_all(ends)
            raise
        return ends[0], ends[1], ends[2]


class AttachSession:
    """A client's copy of a container's output and, when it has one, a way into its stdin."""

    def __init__(self, streams_id: int, container: Container, owner: Owner) -> None:
        self._id = streams_id
        self._container = container
        self._owner: Owner | None = owner
        self._tap: Tap | None = None
        self._stdin = False

    def start(self, *, stdin: bool, request: Request, poller: Poller) -> None:
        container = self._container
        if not container.running or container.output is None:
            raise WrongStateError(
                f"container {container.status.name} is not running: {container.status.state}"
            )
        names = ("stdout",) if container.tty else ("stdout", "stderr")
        self._tap = Tap(container.output, names, poller, self._tap_closed)
        near = dict(self._tap.read_fds)
        if stdin and container.stdin >= 0:
            self._stdin = True
            near["tty" if container.tty else "stdin"] = os.dup(container.stdin)
        request.answer(StreamsOpened(self._id, tuple(near)), tuple(near.values()))
        container.when_gone(self._container_gone)

    def close_stdin(self) -> None:
        """Other clients may still come, unless the container's stdin is for one only."""
        if self._stdin and self._container.stdin_once:
            self._container.close_stdin()

    def close(self) -> None:
        self._owner = None
        self._container.not_when_gone(self._container_gone)
        self.close_stdin()
        if self._tap is not None:
            self._tap.close()

    def _tap_closed(self, reason: str) -> None:
        if reason:
            self._end(ProcessExit(1, message=f"attach: {reason}"))

    def _container_gone(self) -> None:
        ended = self._container.status.exit
        self._end(ProcessExit(ended.code, ended.signal) if ended else ProcessExit(1))

    def _end(self, exit_: ProcessExit) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            self._container.not_when_gone(self._container_gone)
            self.close_stdin()
            owner.send(StreamsEnded(self._id, exit_))
            owner.session_ended(self._id)


Session = ExecSession | AttachSession
