"""One attempt at one container, inside its shim. Each step is on record before it is told.

    created --start--> running --exit--> exited
       └───────────── failure ─────────────┘

Creating launches a process that gets everything ready and waits; starting lets it become the container's command. A
shim has a container's first process as its child; the container's cgroup leaf holds all the others.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from minipod.linux.cgroup2 import cgroup, memory
from minipod.runtime import resources
from minipod.runtime.child import exit_code
from minipod.runtime.children import Child, Children, close_all, failure_of, now_us
from minipod.runtime.errors import RuntimeServiceError, StartError, WrongStateError
from minipod.runtime.exec_groups import ExecGroups
from minipod.runtime.host_devices import open_null
from minipod.runtime.journal_log import JournalLog
from minipod.runtime.launcher import Launcher
from minipod.runtime.logs import LogFile
from minipod.runtime.poller import Poller, Timer
from minipod.runtime.pump import Output
from minipod.runtime.state import ContainerRecord
from minipod.runtime.types import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    ExitRecord,
    StartFailure,
)

START_TIMEOUT = 120.0
"""Seconds until a start that hangs in the kernel is given up, as kubelet's runtimeRequestTimeout."""

Finished = Callable[[RuntimeServiceError | None], None]
"""Called once a start is over: with the error, or with None when the container runs."""


class Surroundings(Protocol):
    """What a container needs of its sandbox."""

    poller: Poller
    launcher: Launcher
    children: Children
    cgroup: Path
    log_max_bytes: int
    log_max_files: int

    def journal_log(self, container: ContainerConfig) -> JournalLog | None:
        """Where its output goes beside its log file, if anywhere."""

    @property
    def infra(self) -> Child | None: ...

    def container(self, container_id: str) -> Container:
        """Raises NotFoundError."""

    def container_changed(self, container: Container) -> None:
        """Put it on record and tell."""

    def trouble(self, message: str) -> None: ...


class Container:
    """Verbs raise WrongStateError when they do not apply to the state; see the module's diagram."""

    def __init__(self, config: ContainerConfig, sandbox: Surroundings) -> None:
        """Launches. What goes wrong with that is told when the container is to start.

        Raises NotFoundError or WrongStateError when there is no such container running as `config.pid_of` names.
        """
        target = sandbox.container(config.pid_of).process_to_join() if config.pid_of else None
        self.leaf = sandbox.cgroup / config.id
        self.exec_groups = ExecGroups(self.leaf)
        self.rootfs = config.rootfs
        self.stdin = -1
        """The near end of the container's stdin pipe or terminal."""
        self.stdin_once = config.stdin_once
        self.has_stdin = config.stdin
        self.tty = config.tty
        self.child: Child | None = None
        self.output: Output | None = None
        self._sandbox = sandbox
        self._start: _Start | None = None
        self._failure: StartFailure | None = None
        """Why the process that was to become the container ended before it was asked to."""
        self._when_gone: list[Callable[[], None]] = []
        files = resources.cgroup_files(config.oci.get("linux", {}).get("resources") or {})
        self.status = ContainerStatus(
            id=config.id,
            name=config.name,
            attempt=config.attempt,
            state=ContainerState.CREATED,
            created_at=now_us(),
            log_path=config.log_path,
            labels=config.labels,
            resources=files,
        )
        try:
            self._launch(config, target)
        except StartError as error:
            self.failed(error.failure, now_us())
        except OSError as error:
            self.failed(failure_of("create container", error), now_us())

    @property
    def record(self) -> ContainerRecord:
        return ContainerRecord(self.status, self.rootfs)

    @property
    def running(self) -> bool:
        return self.status.state is ContainerState.RUNNING

    def process_to_join(self) -> Child:
        """Its first process, in whose namespaces another one is to run. Raises WrongStateError."""
        if not self.running or self.child is None:
            raise WrongStateError(f"container {self.status.name} is not running: {self.status.state}")
        return self.child

    # -- verbs -----------------------------------------------------------------------------------------------------

    def start(self, finished: Finished) -> None:
        """Let it run; `finished` is called later, or at once when it has failed already."""
        if self.status.state is not ContainerState.CREATED or self._start is not None:
            raise WrongStateError(f"container {self.status.name}: cannot start, it is {self.status.state}")
        self._start = _Start(
            now_us(), finished, self._sandbox.poller.call_later(START_TIMEOUT, self._time_out)
        )
        if self.child is None:
            self.failed(_called_off(self.leaf), now_us())
        elif self._failure is None:
            self.child.proceed()

    def signal(self, signum: int) -> None:
        """To the first process; nothing when it does not run."""
        if self.running and self.child is not None:
            try:
                signal.pidfd_send_signal(self.child.pidfd, signum)
            except ProcessLookupError:
                pass

    def kill(self) -> None:
        """SIGKILL to every process of the container, those forking right now included."""
        kill_leaf(self.leaf)

    def update(self, files: Mapping[str, str], labels: Mapping[str, str]) -> None:
        """Write files of the cgroup leaf, all or none, and put them and more labels on record.

        Raises RuntimeServiceError.
        """
        status = self.status
        if files:
            if self.child is None:
                raise WrongStateError(f"container {status.name} is not running: {status.state}")
            resources.update(self.leaf, files)
        if files or labels:
            self._update(resources={**status.resources, **files}, labels={**status.labels, **labels})

    def when_gone(self, callback: Callable[[], None]) -> None:
        """Call back once the first process is gone and on record; at once when there is none."""
        if self.child is None:
            callback()
        else:
            self._when_gone.append(callback)

    def not_when_gone(self, callback: Callable[[], None]) -> None:
        """Take back a when_gone()."""
        if callback in self._when_gone:
            self._when_gone.remove(callback)

    def close(self) -> None:
        """Let go of streams and of the cgroup leaf, as far as it is empty."""
        self.close_stdin()
        if self.output is not None:
            self.output.close()
        self.remove_leaf()

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def remove_leaf(self) -> bool:
        """Whether the cgroup leaf is gone, with all below it; it cannot go while a process is dying there."""
        return cgroup.remove_empty(self.leaf)

    # -- events of the first process --------------------------------------------------------------------------------

    def started(self, at: int) -> None:
        assert self.child is not None
        if self._start is None or self._start.timed_out or self._failure is not None:
            return  # killed before its execve
        if self.child.console >= 0:
            self._take_console(self.child)
        self._update(
            state=ContainerState.RUNNING,
            pid=self.child.pid,
            started_at=at,
            warnings=tuple(self.child.warnings),
        )
        self._finish(None)

    def ended(self, code: int, signum: int, at: int) -> None:
        if not self.running:
            slow = self._start is not None and self._start.timed_out
            self.failed(_too_slow(self.leaf) if slow else _called_off(self.leaf), at)
            return
        self.kill()  # with a shared or the host's pid namespace, the rest of the container does not end by itself
        if self.output is not None:
            self.output.drain()
        exit_ = ExitRecord(
            code=code,
            signal=signum,
            started_at=self.status.started_at,
            finished_at=at,
            oom_killed=code != 0 and self._oom_killed(),
        )
        self._gone(state=ContainerState.EXITED, exit=exit_)

    def failed(self, failure: StartFailure, at: int) -> None:
        failure = self._failure = self._failure or failure
        if self.output is not None:
            self.output.close()
        if self._start is None:
            self._gone()
            return
        warnings = tuple(self.child.warnings) if self.child else ()
        exit_ = ExitRecord(code=exit_code(failure), started_at=self._start.asked_at, finished_at=at)
        self._gone(state=ContainerState.EXITED, exit=exit_, failure=failure, warnings=warnings)
        self._finish(StartError(failure))

    # -- parts -----------------------------------------------------------------------------------------------------

    def _launch(self, config: ContainerConfig, target: Child | None) -> None:
        infra = self._sandbox.infra
        if infra is None:
            raise OSError(errno.ESRCH, "the pod's infra process is gone")
        self._make_leaf()
        near: dict[str, int] = {}
        far = None if config.tty else self._pipes(config.stdin, near)
        leaf_fd = cgroup.directory_fd(self.leaf)
        try:
            launched = self._sandbox.launcher.launch_container(
                config.oci,
                config.rootfs,
                cgroup_fd=leaf_fd,
                stdio=far,
                subpaths=config.subpaths,
                infra_pid=infra.pid,
                infra_pidfd=infra.pidfd,
                pid_of=target.pidfd if target else -1,
                hold=True,
            )
        except BaseException:
            close_all(near.values())
            raise
        finally:
            close_all((leaf_fd, *(far or ())))
        self.child = self._sandbox.children.add(launched, self)
        self._open_log(config, near)

    def _open_log(self, config: ContainerConfig, streams: dict[str, int]) -> None:
        """Directories and a file on a disk: time in which the child gets on with its mounts."""
        try:
            limits = (self._sandbox.log_max_bytes, self._sandbox.log_max_files)
            log = LogFile(config.log_path, max_bytes=limits[0], max_files=limits[1])
        except OSError as error:
            close_all(streams.values())
            self._failure = failure_of("create container", error)
            self.kill()
            return
        journal = self._sandbox.journal_log(config)
        self.output = Output(log, self._sandbox.poller, self._log_trouble, journal)
        for name, fd in streams.items():
            self.output.add_stream(name, fd)

    def _make_leaf(self) -> None:
        try:
            os.mkdir(self.leaf)
        except FileExistsError:
            pass
        cgroup.label(self.leaf, "minipod.container", self.status.name)
        cgroup.apply(self.leaf, self.status.resources)

    def _pipes(self, stdin: bool, near: dict[str, int]) -> tuple[int, int, int]:
        """The container's ends of its streams; ours go to `stdin` and `near`."""
        far: list[int] = []
        try:
            if stdin:
                read, self.stdin = os.pipe2(os.O_CLOEXEC)
                far.append(read)
            else:
                far.append(open_null(os.O_RDONLY))
            for name in ("stdout", "stderr"):
                near[name], write = os.pipe2(os.O_CLOEXEC)
                far.append(write)
        except OSError:
            close_all((*far, *near.values()))
            raise
        return far[0], far[1], far[2]

    def _take_console(self, child: Child) -> None:
        assert self.output is not None
        master, child.console = child.console, -1
        if self.has_stdin:
            self.stdin = os.dup(master)
        self.output.add_stream("stdout", master)

    def _time_out(self) -> None:
        if self._start is not None:
            self._start.timed_out = True
            self.kill()

    def _oom_killed(self) -> bool:
        try:
            return memory.oom_kills(self.leaf) > 0
        except OSError:  # no memory controller here
            return False

    def _gone(self, **changes: object) -> None:
        """There is no process any more; `changes` are what this means for the status."""
        self.child = None
        self.close_stdin()
        self.remove_leaf()
        if changes:
            self._update(pid=0, **changes)
        waiting, self._when_gone = self._when_gone, []
        for callback in waiting:
            callback()

    def _finish(self, error: RuntimeServiceError | None) -> None:
        start = self._start
        if start is not None and start.finished is not None:
            start.timer.cancel()
            finished, start.finished = start.finished, None
            finished(error)

    def _log_trouble(self, message: str) -> None:
        self._sandbox.trouble(f"container {self.status.name}: {message}")
        others = tuple(w for w in self.status.warnings if not w.startswith("log: "))
        self._update(warnings=(*others, f"log: {message}"))

    def _update(self, **changes: object) -> None:
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]
        self._sandbox.container_changed(self)


class _Start:
    """A start that was asked for."""

    __slots__ = ("asked_at", "finished", "timed_out", "timer")

    def __init__(self, asked_at: int, finished: Finished, timer: Timer) -> None:
        self.asked_at = asked_at
        self.finished: Finished | None = finished
        self.timer = timer
        self.timed_out = False


def kill_leaf(leaf: Path) -> None:
    """SIGKILL everything in a cgroup; one that is gone has nothing in it."""
    try:
        cgroup.kill(leaf)
    except FileNotFoundError:
        pass


def _called_off(leaf: Path) -> StartFailure:
    return StartFailure(
        stage="start", errno=errno.ECANCELED, operand=leaf.name, message="killed before it was started"
    )


def _too_slow(leaf: Path) -> StartFailure:
    return StartFailure(
        stage="start",
        errno=errno.ETIMEDOUT,
        operand=leaf.name,
        message=f"not started within {START_TIMEOUT:g} s; a mount of its root or volumes may be hanging",
    )
