"""The fork server: a small, single-threaded process that the daemon starts first and asks for shims.

Started as `python -I -S` so that a clone of it is quick and small; it imports only what a shim needs. It makes the
pod's cgroup and clones the shim straight into it, reaps shims that end, and ends itself when the daemon's end of its
socket closes. Shims live on. It never answers: what goes wrong is said on the connection meant for the shim.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from minipod.linux import capabilities, oom_score, prctl
from minipod.linux.cgroup2 import cgroup
from minipod.linux.process import clone3, set_title
from minipod.runtime import (
    device_rules,
    dry_start,
    infra_spawn,
    launch,
    readonly_exe,
    removal,
    resources,
    shim,
)
from minipod.runtime.channel import TO_SPAWNER, Channel, MakeShim, Received, Refused
from minipod.runtime.children import failure_of
from minipod.runtime.errors import ProtocolError, SandboxError
from minipod.runtime.poller import Poller
from minipod.runtime.rehearsal import ROUNDS, rehearse
from minipod.runtime.state import SHIM_LEAF

CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids", "hugetlb"})
"""Controllers that every pod gets where the host has them; others (io) it gets when it asks for them."""

OOM_SCORE = -998
"""As containerd's shims: killed only after everything that can be killed instead."""


class Spawner:
    def __init__(self, control: socket.socket) -> None:
        self._kept = _prepare_descriptors()
        self._hierarchy = _Hierarchy()
        self._channel = Channel(control, TO_SPAWNER)
        self._poller = Poller(_log_error)

    def run(self) -> None:
        """Until the daemon is gone."""
        self._poller.watch(self._channel.fileno(), self._on_readable)
        self._poller.watch_children(_reap)
        # What is there now stays for good: the collector of no clone ever touches (and so copies) these pages.
        gc.collect()
        gc.freeze()
        self._poller.run()

    def _on_readable(self, _events: int) -> None:
        try:
            for received in self._channel.receive():
                self._handle(received)
        except (EOFError, OSError, ProtocolError) as error:
            if not isinstance(error, EOFError):
                _log_error(error)
            self._poller.stop()

    def _handle(self, received: Received) -> None:
        message = received.message
        if not isinstance(message, MakeShim) or len(received.fds) != 1:
            raise ProtocolError(f"unexpected message {type(message).__name__}")
        (fd,) = received.fds
        try:
            self._make_shim(message, fd)
        except OSError as error:
            _refuse(fd, error)
        finally:
            os.close(fd)

    def _make_shim(self, message: MakeShim, fd: int) -> None:
        needed = resources.controllers(message.config.resources)
        leaf = self._hierarchy.make_pod(str(message.cgroup_root), message.config.cgroup, needed)
        leaf_fd = os.open(leaf, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            pid, pidfd = clone3(0, cgroup_fd=leaf_fd)
            if pid == 0:
                shim.main(message, fd, self._kept)
            os.close(pidfd)
        finally:
            os.close(leaf_fd)


class _Hierarchy:
    """Makes the cgroups of pods, with the usual controllers handed down to them as far as there are any."""

    def __init__(self) -> None:
        self._ready: dict[str, tuple[int, frozenset[str]]] = {}
        """Groups above pods with what they hand down, by path; the inode tells one made anew."""

    def make_pod(self, root: str, name: str, needed: frozenset[str]) -> str:
        """The pod's cgroup, fresh, with the shim's leaf, which it returns.

        Raises OSError, with the level that lacks it when one of the `needed` controllers cannot be handed down.
        """
        *above, pod = name.split("/")
        group = root
        for part in above:
            self._hand_down(group, needed)
            group = f"{group}/{part}"
            _make(group)
        self._hand_down(group, needed)
        group = f"{group}/{pod}"
        if not _make(group):
            # Nothing is on record for it, so whatever is in it is a leftover.
            removal.remove_cgroup(Path(group))
            _make(group)
        _enable_controllers(group, needed)
        leaf = f"{group}/{SHIM_LEAF}"
        _make(leaf)
        return leaf

    def _hand_down(self, group: str, needed: frozenset[str]) -> None:
        inode = os.stat(group).st_ino
        known, handed_down = self._ready.get(group, (0, frozenset()))
        if known != inode or not needed <= handed_down:
            self._ready[group] = inode, _enable_controllers(group, needed)


def _make(group: str) -> bool:
    """Whether it was not there before."""
    try:
        os.mkdir(group)
    except FileExistsError:
        return False
    return True


def _enable_controllers(group: str, needed: frozenset[str]) -> frozenset[str]:
    """Those it was asked for, as far as it hands them down now.

    Raises OSError naming the group that lacks a needed one (ENODEV) or cannot hand it down (EBUSY).
    """
    path = Path(group)
    wanted = CONTROLLERS & cgroup.controllers(path) | needed
    try:
        cgroup.enable_controllers(path, wanted)
    except OSError as error:
        # Processes are in it: a container's root, seen from inside. Pods run without what nobody asked for.
        if error.errno != errno.EBUSY:
            raise
        cgroup.enable_controllers(path, needed)
        return needed
    return wanted


def _reap() -> None:
    """Shims that have ended; their daemon hears of it by their pidfd."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _refuse(fd: int, error: OSError) -> None:
    failure = failure_of("start shim", error)
    channel = Channel(socket.socket(fileno=os.dup(fd)), ())
    try:
        channel.send(Refused(SandboxError.__name__, failure.message, failure))
    except OSError:
        pass
    finally:
        channel.close()


def _log_error(error: Exception) -> None:
    sys.stderr.write("spawner: " + "".join(traceback.format_exception(error)))
    sys.stderr.flush()


def _prepare_descriptors() -> tuple[int, ...]:
    """What nearly every pod needs, opened once and kept by the shims, whose caches know it; empty where that fails.

    The device rules of containers as a loaded program; the infra process's program and its /dev/null.
    """
    kept: list[int] = []
    try:
        kept += infra_spawn.prepare(launch.PAUSE)
        kept.append(device_rules.program(device_rules.STANDARD))
    except OSError as error:  # each shim then opens its own, and says what is wrong
        _log_error(error)
    return tuple(kept)


def _prepare() -> None:
    """What shims inherit: signals they ignore, little to fear from the out-of-memory killer, and some warm caches."""
    prctl.set_name(shim.NAME)
    set_title("minipod spawner")
    capabilities.last()
    launch.cgroup_mount()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    oom_score.set_own(OOM_SCORE)


def main(control_fd: int, scratch: str) -> NoReturn:
    """`scratch` is a directory of the spawner's own, which need not exist."""
    # Started with the control socket inheritable, so it survives being executed again.
    readonly_exe.ensure()
    os.set_inheritable(control_fd, False)
    control = socket.socket(fileno=control_fd)
    _prepare()
    try:
        rehearse(Path(scratch))
        dry_start.rehearse(Path(scratch), ROUNDS)
    except Exception as error:  # shims get a little larger without, that is all
        _log_error(error)
    Spawner(control).run()
    sys.exit(0)
