"""One whole life of a pod, played through by the spawner itself before it serves.

CPython writes into what it runs: the first executions of a function specialise its code, caches fill, and each such
write copies a page of a clone. Played once before the clones are made, those writes are done for all of them: a shim is
about a fifth smaller, and faster. The actors are real (Shim, channel, state files, log); only what starts processes is
an understudy whose children do nothing in no namespace.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from minipod.linux import prctl, tree
from minipod.runtime import device_rules, launch, namespace_plan, sync
from minipod.runtime.channel import (
    TO_DAEMON,
    Attach,
    Channel,
    CloseStdin,
    CloseStreams,
    CreateContainer,
    EndShim,
    Exec,
    MakeShim,
    Message,
    Refused,
    RemoveContainer,
    SignalContainer,
    StartContainer,
    Trouble,
    Welcome,
)
from minipod.runtime.launch import Launched
from minipod.runtime.shim import Shim
from minipod.runtime.state import SHIM_LEAF
from minipod.runtime.types import (
    ContainerConfig,
    ExecConfig,
    OverlayRootfs,
    SandboxConfig,
    SubPathMount,
    TmpfsMount,
)

ROUNDS = 3
_TIME_LIMIT = 5.0
_OUTPUT = b"a line of output\n" * 40

_OCI: dict[str, Any] = {
    "process": {"args": ["sh"], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    "linux": {
        "namespaces": [
            {"type": "network", "path": "/proc/1/ns/net"},
            {"type": "pid"},
            {"type": "mount"},
        ],
        "resources": {
            "devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
            ],
        },
    },
}


def rehearse(scratch: Path) -> None:
    """Play the play. Raises whatever goes wrong; leaves nothing."""
    tree.remove_tree(scratch)
    scratch.mkdir(mode=0o700, parents=True)
    try:
        for number in range(ROUNDS):
            _Play(scratch / str(number)).run()
    finally:
        tree.remove_tree(scratch)


class Understudy:
    """Stands in for minipod.runtime.launch: a real infra process where that may be made, and for containers children
    that print a little and wait to be killed.
    """

    def __init__(self) -> None:
        self.pids: list[int] = []
        self._alive: tuple[int, int] | None = None

    def close(self) -> None:
        """End whoever is left."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for fd in self._alive or ():
            os.close(fd)

    def mount_tmpfs(self, mount: TmpfsMount) -> None:
        pass

    def launch_infra(self, config: SandboxConfig, *, cgroup_fd: int) -> Launched:
        if os.geteuid() != 0:
            return self._child(None)
        launched = launch.launch_infra(config, cgroup_fd=cgroup_fd)
        self._guard(launched.pidfd)
        self.pids.append(launched.pid)
        return launched

    def launch_container(
        self,
        oci: Mapping[str, Any],
        rootfs: OverlayRootfs,  # noqa: ARG002
        *,
        cgroup_fd: int,  # noqa: ARG002
        stdio: tuple[int, int, int] | None,
        subpaths: Sequence[SubPathMount] = (),  # noqa: ARG002
        infra_pid: int = 0,
        infra_pidfd: int = -1,  # noqa: ARG002
        pid_of: int = -1,  # noqa: ARG002
        hold: bool = False,
    ) -> Launched:
        namespace_plan.plan(oci["linux"]["namespaces"], infra_pid)
        device_rules.plan(oci["linux"]["resources"]["devices"])
        return self._child(stdio, hold=hold)

    def launch_exec(
        self,
        process: Mapping[str, Any],  # noqa: ARG002
        container_pidfd: int,  # noqa: ARG002
        *,
        cgroup_fd: int,  # noqa: ARG002
        stdio: tuple[int, int, int] | None,
    ) -> Launched:
        return self._child(stdio)

    def kill_last(self) -> None:
        """The youngest child is not reaped yet: the number is still its own."""
        os.kill(self.pids.pop(), signal.SIGKILL)

    def _guard(self, infra_pidfd: int) -> None:
        """A child that ends the infra process with the spawner: that one runs a program which knows nothing of plays.

        Nobody writes into the pipe; it ends when the last one who could is gone.
        """
        self._alive = os.pipe2(os.O_CLOEXEC)

        def body(_sync_fd: int, keep: list[int]) -> None:
            pidfd, pipe = keep
            os.read(pipe, 1)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os._exit(0)

        guard = launch.clone_child(body, stdio=None, keep=(infra_pidfd, self._alive[0]))
        os.close(guard.pidfd)
        os.close(guard.sync_fd)
        self.pids.insert(0, guard.pid)

    def _child(self, stdio: tuple[int, int, int] | None, *, hold: bool = False) -> Launched:
        parent = os.getpid()

        def body(sync_fd: int, _keep: list[int]) -> None:
            # Whoever kills the spawner in the middle of a play ends the play.
            prctl.set_parent_death_signal(signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(0)
            if hold:
                sync.wait_until_told(sync_fd)
            os.close(sync_fd)
            os.write(1, _OUTPUT)
            while True:
                signal.pause()

        launched = launch.clone_child(body, stdio=stdio)
        self.pids.append(launched.pid)
        return launched


class _Play:
    """A daemon's part, played in the same loop: one message, its answer, the next message."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._understudy = Understudy()
        near, far = socket.socketpair()
        config = SandboxConfig(uid="rehearsal", name="", namespace="", hostname="rehearsal", cgroup="cgroup")
        (scratch / "cgroup" / SHIM_LEAF).mkdir(parents=True)
        self._message = MakeShim(config, scratch, scratch, 1, 1024 * 1024, 2)
        self._shim = Shim(self._message, far, self._understudy)
        self._channel = Channel(near, TO_DAEMON)
        self._script = self._lines()
        self._failure = ""

    def run(self) -> None:
        poller = self._shim.poller
        poller.watch(self._channel.fileno(), self._listen)
        poller.call_later(_TIME_LIMIT, lambda: self._fail(f"not over after {_TIME_LIMIT:g} s"))
        try:
            self._shim.run()
            if self._failure:
                raise RuntimeError(f"rehearsal of a pod's life: {self._failure}")
        finally:
            self._understudy.close()
            self._channel.close()
            poller.close()

    def _fail(self, why: str) -> None:
        self._failure = why
        self._shim.poller.stop()

    def _listen(self, _events: int) -> None:
        try:
            for received in self._channel.receive():
                for fd in received.fds:
                    os.close(fd)
                if isinstance(received.message, Trouble | Refused):
                    self._fail(received.message.message)
                if isinstance(received.message, Welcome) or received.serial:
                    for message in next(self._script):
                        self._channel.send(message, serial=1)
        except (EOFError, StopIteration):
            self._shim.poller.forget(self._channel.fileno())

    def _lines(self) -> Iterator[Sequence[Message]]:
        """What to say next, ending with something that is answered."""
        container = ContainerConfig(
            name="main",
            attempt=0,
            id="one",
            oci=_OCI,
            rootfs=OverlayRootfs(
                lower=(self._scratch,), upper=self._scratch / "u", work=self._scratch / "w"
            ),
            log_path=self._scratch / "log" / "0.log",
            stdin=True,
        )
        yield (CreateContainer(container),)
        yield (StartContainer("one"),)
        yield (Attach("one", stdin=True),)
        exec_config = ExecConfig(process=_OCI["process"], stdin=True)
        yield CloseStdin(1), CloseStreams(1), Exec("one", exec_config)
        self._understudy.kill_last()
        yield (SignalContainer("one", signal.SIGKILL),)
        self._understudy.pids.pop()
        yield (RemoveContainer("one"),)
        self._understudy.kill_last()
        yield (EndShim(),)
